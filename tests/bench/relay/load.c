/*
 * Load for a forwarder, and what became of every packet: the generator of `scripts/bench relay`.
 *
 * It is both ends. Frames of many clients leave by one interface, frames of the far end by another (AF_PACKET: no
 * sockets, no tables, so 50,000 clients cost what one costs); what arrives on either is read from a ring. Each payload
 * carries a stamp, and the receiver finds stamps wherever the forwarder has put them: behind a hop header, in
 * ChannelData, several in a bundle. So it knows nothing of any forwarder's format.
 *
 * Honest by these rules. The time of sending is taken right before the system call; the time of arrival is the
 * kernel's, from the moment the forwarder's frame came out of its interface. A packet counts once, whole (its tail is
 * checked), and for a client only at that client's address. What comes later than `--late` counts as lost. Frames that
 * the ring had no room for are the generator's own fault, and told apart. The sender never waits for the receiver: when
 * it is behind its clock it catches up by at most `--burst` packets at a time, and says how many it sent.
 *
 * It also takes the processor time of its system calls for sending: on a veth, what the kernel does with a frame until
 * a process sleeps on it (receiving, socket, a forwarder in the kernel) happens in the sender's call.
 *
 *   load FLOWS CLIENT_IF FAR_IF SECONDS RATE UP_PERCENT BURST LATE_US [SCHEDSTAT...]
 *
 * FLOWS: for each flow two slots (up, down) of SLOT octets: u16 length, u16 where the payload starts, the frame.
 * SCHEDSTAT: files whose first number is processor time. Outcome: JSON on stdout.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { SLOT = 320, PAYLOAD = 172, STAMP_AT = 12, UDP_AT = 34, MAX_BURST = 64 };
enum { RING_FRAME = 2048, RING_FRAMES = 16384, RING_BLOCK = 1 << 20 };
enum { BUCKET_NS = 256, BUCKETS = 1 << 18 }; /* up to 67 ms, then all in the last one */
static const uint64_t WARM_NS = 200000000, DRAIN_NS = 300000000;

struct stamp {
    uint8_t magic[8];
    uint32_t number, flow;
    uint64_t sent;
} __attribute__((packed));

static const uint8_t MAGIC[8] = {0xf1, 0x0e, 0x5e, 0xa1, 0xed, 0xca, 0x11, 0x5f};

struct template {
    uint8_t *frame;
    uint16_t length, payload_at;
    uint32_t sum; /* of the UDP datagram and its pseudo header, without stamp and tail */
};

struct way {
    struct template *templates;
    int sender, receiver;
    uint8_t *ring;
    uint32_t at;
    uint32_t next, counted_from;
    uint64_t sent, received, late, twice, strange, ring_drops;
    uint8_t *seen; /* one bit for each number */
    uint64_t capacity;
    uint32_t *histogram;
    uint64_t largest;
};

static struct way ways[2]; /* up: clients to far end; down */
static uint32_t flows;
static uint64_t late_ns;

static void die(const char *what) {
    fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
    exit(1);
}

static uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t); /* the clock of the kernel's receive stamps */
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static uint32_t sum16(const uint8_t *at, int length) {
    uint32_t sum = 0;
    for (int i = 0; i + 1 < length; i += 2) sum += (uint32_t)at[i] << 8 | at[i + 1];
    return length & 1 ? sum + ((uint32_t)at[length - 1] << 8) : sum;
}

static void prepare(struct template *t, uint8_t *slot) {
    t->length = (uint16_t)(slot[0] | slot[1] << 8);
    t->payload_at = (uint16_t)(slot[2] | slot[3] << 8);
    t->frame = slot + 4;
    if (t->length > SLOT - 4 || t->payload_at + PAYLOAD != t->length || (t->payload_at - UDP_AT) % 2) {
        errno = EINVAL;
        die("flow");
    }
    memset(t->frame + t->payload_at + STAMP_AT, 0, sizeof(struct stamp));
    memset(t->frame + t->length - 8, 0, 8);
    memset(t->frame + UDP_AT + 6, 0, 2);
    t->sum = sum16(t->frame + UDP_AT, t->length - UDP_AT) + sum16(t->frame + UDP_AT - 8, 8) + IPPROTO_UDP +
             (uint32_t)(t->length - UDP_AT);
}

static void stamp(struct template *t, uint32_t number, uint32_t flow, uint64_t sent) {
    struct stamp s = {.number = number, .flow = flow, .sent = sent};
    memcpy(s.magic, MAGIC, 8);
    memcpy(t->frame + t->payload_at + STAMP_AT, &s, sizeof s);
    uint64_t tail = number * 0x9e3779b97f4a7c15u ^ sent;
    memcpy(t->frame + t->length - 8, &tail, 8);
    uint32_t sum = t->sum + sum16((const uint8_t *)&s, sizeof s) + sum16((const uint8_t *)&tail, 8);
    sum = (sum & 0xffff) + (sum >> 16);
    sum = ~((sum & 0xffff) + (sum >> 16)) & 0xffff;
    if (!sum) sum = 0xffff;
    t->frame[UDP_AT + 6] = (uint8_t)(sum >> 8);
    t->frame[UDP_AT + 7] = (uint8_t)sum;
}

static int packet_socket(const char *interface, int protocol) {
    int one = 1, made = socket(AF_PACKET, SOCK_RAW, 0);
    struct sockaddr_ll where = {.sll_family = AF_PACKET, .sll_protocol = htons((uint16_t)protocol)};
    where.sll_ifindex = (int)if_nametoindex(interface);
    if (made < 0 || !where.sll_ifindex) die(interface);
    if (protocol) {
        struct tpacket_req ring = {RING_BLOCK, RING_FRAMES / (RING_BLOCK / RING_FRAME), RING_FRAME, RING_FRAMES};
        int version = TPACKET_V2;
        if (setsockopt(made, SOL_PACKET, PACKET_VERSION, &version, sizeof version) ||
            setsockopt(made, SOL_PACKET, PACKET_RX_RING, &ring, sizeof ring) ||
            setsockopt(made, SOL_SOCKET, SO_TIMESTAMPNS, &one, sizeof one))
            die("receive ring");
    } else if (setsockopt(made, SOL_PACKET, PACKET_QDISC_BYPASS, &one, sizeof one)) {
        die("qdisc bypass");
    }
    if (bind(made, (struct sockaddr *)&where, sizeof where)) die("bind");
    return made;
}

static void open_way(struct way *w, const char *sends_on, const char *receives_on, uint64_t capacity) {
    w->sender = packet_socket(sends_on, 0);
    w->receiver = packet_socket(receives_on, ETH_P_IP);
    w->ring = mmap(NULL, (size_t)RING_FRAME * RING_FRAMES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE,
                   w->receiver, 0);
    if (w->ring == MAP_FAILED) die("mmap");
    w->capacity = capacity;
    w->seen = calloc(capacity / 8 + 1, 1);
    w->histogram = calloc(BUCKETS, sizeof *w->histogram);
    memset(w->seen, 1, capacity / 8 + 1); /* the pages are there before the first packet */
    memset(w->seen, 0, capacity / 8 + 1);
}

static void send_call(struct way *w, uint32_t count) {
    static struct mmsghdr messages[MAX_BURST];
    static struct iovec parts[MAX_BURST];
    for (uint32_t i = 0; i < count; i++) {
        uint32_t flow = (w->next + i) % flows;
        struct template *t = &w->templates[flow];
        stamp(t, w->next + i, flow, now_ns());
        parts[i] = (struct iovec){t->frame, t->length};
        messages[i].msg_hdr = (struct msghdr){.msg_iov = &parts[i], .msg_iovlen = 1};
    }
    for (uint32_t done = 0; done < count;) {
        int sent = sendmmsg(w->sender, messages + done, count - done, MSG_DONTWAIT);
        if (sent < 0 && errno != EAGAIN && errno != ENOBUFS) die("send");
        if (sent > 0) done += (uint32_t)sent;
    }
    w->next += count;
}

static void send_some(struct way *w, uint32_t count) {
    for (uint32_t now; count; count -= now) {
        now = count < flows ? count : flows; /* a frame must not be in one call twice */
        send_call(w, now);
    }
}

static void take(struct way *w, const uint8_t *frame, uint32_t length, uint64_t arrived) {
    const uint8_t *end = frame + length, *at = frame + UDP_AT + 8, *found;
    int any = 0;
    while (at < end && (found = memmem(at, (size_t)(end - at), MAGIC, 8))) {
        struct stamp s;
        uint64_t tail;
        const uint8_t *payload = found - STAMP_AT;
        at = found + 8;
        if (payload + PAYLOAD > end) continue;
        memcpy(&s, found, sizeof s);
        memcpy(&tail, payload + PAYLOAD - 8, 8);
        any = 1;
        at = payload + PAYLOAD;
        if (tail != (s.number * 0x9e3779b97f4a7c15u ^ s.sent) || s.number >= w->next || s.flow >= flows ||
            (w == &ways[1] && (memcmp(frame + 30, ways[0].templates[s.flow].frame + 26, 4) ||
                               memcmp(frame + 36, ways[0].templates[s.flow].frame + 34, 2)))) {
            w->strange++; /* broken, of an earlier run, or for somebody else */
            continue;
        }
        if (s.number < w->counted_from) continue;
        if (w->seen[s.number / 8] & 1 << s.number % 8) {
            w->twice++;
            continue;
        }
        w->seen[s.number / 8] |= (uint8_t)(1 << s.number % 8);
        uint64_t took = arrived > s.sent ? arrived - s.sent : 0;
        if (took > w->largest) w->largest = took;
        w->histogram[took / BUCKET_NS < BUCKETS ? took / BUCKET_NS : BUCKETS - 1]++;
        if (took > late_ns) w->late++;
        else w->received++;
    }
    w->strange += !any && length > 400; /* pings and other small talk of the forwarder are none */
}

static void receive_some(struct way *w, int most) {
    for (int taken = 0; taken < most; taken++) {
        struct tpacket2_hdr *head = (struct tpacket2_hdr *)(w->ring + (size_t)w->at * RING_FRAME);
        if (!(__atomic_load_n(&head->tp_status, __ATOMIC_ACQUIRE) & TP_STATUS_USER)) break;
        take(w, (uint8_t *)head + head->tp_mac, head->tp_snaplen,
             (uint64_t)head->tp_sec * 1000000000u + head->tp_nsec);
        __atomic_store_n(&head->tp_status, TP_STATUS_KERNEL, __ATOMIC_RELEASE);
        w->at = (w->at + 1) % RING_FRAMES;
    }
}

static double thread_seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double process_seconds(char **files, int count) {
    double sum = 0;
    for (int i = 0; i < count; i++) {
        unsigned long long ran = 0;
        FILE *file = fopen(files[i], "r");
        if (file && fscanf(file, "%llu", &ran) == 1) sum += (double)ran / 1e9;
        if (file) fclose(file);
    }
    return sum;
}

static double percentile(const struct way *w, double part) {
    uint64_t all = w->received + w->late, below = 0;
    for (uint32_t i = 0; i < BUCKETS; i++)
        if ((below += w->histogram[i]) >= (uint64_t)((double)all * part) && below)
            return (i + 0.5) * BUCKET_NS / 1000;
    return 0;
}

static void tell(const char *name, const struct way *w) {
    printf("\"%s\": {\"sent\": %llu, \"received\": %llu, \"late\": %llu, \"twice\": %llu, \"strange\": %llu, "
           "\"ring_drops\": %llu, \"p50\": %.2f, \"p99\": %.2f, \"p999\": %.2f, \"largest\": %.2f}",
           name, (unsigned long long)w->sent, (unsigned long long)w->received, (unsigned long long)w->late,
           (unsigned long long)w->twice, (unsigned long long)w->strange, (unsigned long long)w->ring_drops,
           percentile(w, 0.5), percentile(w, 0.99), percentile(w, 0.999), (double)w->largest / 1000);
}

int main(int argc, char **argv) {
    if (argc < 9) {
        fprintf(stderr, "load FLOWS CLIENT_IF FAR_IF SECONDS RATE UP_PERCENT BURST LATE_US [SCHEDSTAT...]\n");
        return 2;
    }
    double seconds = atof(argv[4]), rate = atof(argv[5]);
    uint64_t up_percent = (uint64_t)atoi(argv[6]), burst = (uint64_t)atoi(argv[7]);
    if (burst > MAX_BURST) burst = MAX_BURST;
    late_ns = (uint64_t)(atof(argv[8]) * 1000);
    int file = open(argv[1], O_RDONLY);
    struct stat size;
    if (file < 0 || fstat(file, &size)) die(argv[1]);
    uint8_t *slots = mmap(NULL, (size_t)size.st_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_POPULATE, file, 0);
    if (slots == MAP_FAILED) die("mmap");
    flows = (uint32_t)(size.st_size / (2 * SLOT));
    for (int i = 0; i < 2; i++) {
        ways[i].templates = calloc(flows, sizeof *ways[i].templates);
        for (uint32_t flow = 0; flow < flows; flow++)
            prepare(&ways[i].templates[flow], slots + ((size_t)flow * 2 + (size_t)i) * SLOT);
        ways[i].counted_from = UINT32_MAX;
        open_way(&ways[i], argv[i ? 3 : 2], argv[i ? 2 : 3], (uint64_t)((seconds + 1) * rate) + 1000);
    }

    uint64_t start = now_ns(), counts = start + WARM_NS, stop = counts + (uint64_t)(seconds * 1e9), now, done = 0;
    uint64_t began = 0, worst = 0;
    double ran = 0, sending = 0;
    while ((now = now_ns()) < stop) {
        if (!began && now >= counts) {
            ran = process_seconds(argv + 9, argc - 9);
            began = now;
            for (int i = 0; i < 2; i++) ways[i].counted_from = ways[i].next;
        }
        uint64_t due = (uint64_t)((double)(now - start) * rate / 1e9);
        if (due > done) {
            uint64_t some = due - done < burst ? due - done : burst;
            uint64_t up = (done + some) * up_percent / 100 - done * up_percent / 100;
            if (began && due - done > worst) worst = due - done;
            double before = began ? thread_seconds() : 0;
            send_some(&ways[0], (uint32_t)up);
            send_some(&ways[1], (uint32_t)(some - up));
            if (began) sending += thread_seconds() - before;
            done += some;
        }
        receive_some(&ways[0], 32);
        receive_some(&ways[1], 32);
    }
    double elapsed = (double)(now - began) / 1e9;
    ran = process_seconds(argv + 9, argc - 9) - ran;
    while (now_ns() < now + DRAIN_NS) {
        receive_some(&ways[0], 64);
        receive_some(&ways[1], 64);
    }

    for (int i = 0; i < 2; i++) {
        struct tpacket_stats lost = {0};
        socklen_t length = sizeof lost;
        getsockopt(ways[i].receiver, SOL_PACKET, PACKET_STATISTICS, &lost, &length);
        ways[i].ring_drops = lost.tp_drops;
        ways[i].sent = ways[i].next - ways[i].counted_from;
    }
    printf("{\"elapsed\": %.6f, \"ran\": %.6f, \"sending\": %.6f, \"behind\": %llu, ", elapsed, ran, sending,
           (unsigned long long)worst);
    tell("up", &ways[0]);
    printf(", ");
    tell("down", &ways[1]);
    printf("}\n");
    return 0;
}
