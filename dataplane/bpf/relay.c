// SPDX-License-Identifier: Apache-2.0
/*
 * The relay's kernel tier: a tc classifier at the ingress of the interfaces that clients and transceivers are reached by.
 *
 * It forwards what the packet loop would forward without a closer look, and nothing else: media and DTLS of a known
 * client get the flow's hop header pushed in front and go to the transceiver; a transceiver's datagram under a known hop
 * header loses it and goes to the client. Userspace decides about every flow and writes it into the maps, with all that
 * never changes within it: header, outer addresses, checksum differences, next hop. What is not in the maps, or odd in
 * any way, passes by untouched (TC_ACT_UNSPEC: other programs of the interface come next, then the sockets).
 *
 * The payload is moved within the packet, and the packet grows or shrinks at its end. So the UDP header stays where it
 * is, and with it the place that a not yet computed checksum (CHECKSUM_PARTIAL, between interfaces of one machine)
 * refers to; other checksums are updated by what changed, so a damaged packet stays damaged.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/in.h>
#include <linux/in6.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/pkt_cls.h>
#include <linux/udp.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define HOP_HEADER 32
#define MAX_PAYLOAD 1340 /* contract.HOP_MTU less the hop header; what is longer is userspace's to refuse */
#define ROOM 2048        /* a power of two, so that a length can be masked for the verifier */
#define PROCESSES 64
#define IPV4_FRAGMENT 0x3fff /* everything but "don't fragment" */

/* Who a UDP port of this machine belongs to. */
enum role { NOBODY, PUBLIC, HOP };

/* Why a packet for one of the relay's ports was left to userspace; the order is that of kernel_layout.py. */
enum left {
	LEFT_CHECK,   /* STUN: always userspace's */
	LEFT_UNKNOWN, /* no such flow here, or its entry is not for this local address */
	LEFT_KIND,    /* first octet of nothing that is forwarded, or an empty packet */
	LEFT_ODD,     /* fragments, segments to be split, VLAN tags, no checksum, lengths that disagree, not for this host */
	LEFT_LONG,    /* longer than the hop takes, or than the way out takes in one piece */
	LEFT_LAPSED,  /* the relay has not been heard of for its lease */
	LEFT_REFUSED, /* the kernel had no memory for it */
	DROPPED,      /* the kernel failed half-way: the only packets that are lost here */
	LEFT_REASONS,
};

/* Addresses and headers are words, so that they are copied as such; IPv4 addresses are mapped (::ffff:a.b.c.d). */
struct uplink_key {
	__be32 client[4];
	__be32 local[4];
	__be16 client_port;
	__be16 local_port;
};

struct downlink_key {
	__be32 peer[4];
	__be32 local[4];
	__be16 peer_port;
	__be16 local_port;
	__u32 header[HOP_HEADER / 4];
};

/* One direction of a flow. */
struct way {
	__u64 last_seen; /* nanoseconds of CLOCK_MONOTONIC, to about 4 ms */
	__u64 packets;
	__u64 bytes;               /* of payload, without hop header */
	__u32 header[HOP_HEADER / 4]; /* pushed in front, uplink only */
	__u32 outer[10];           /* the new IP header; lengths and IPv4's checksum are filled in */
	__u32 ports;               /* of the new UDP header */
	__u32 pseudo_change;       /* what changes in the sum of the pseudo-header */
	__u32 body_change;         /* what changes in the sum of UDP header and payload */
	__u32 outer_sum;           /* IPv4: sum of the new header without its length */
	struct bpf_redir_neigh next; /* gateway, or the destination itself */
	__u32 ifindex;             /* the way out */
	__u16 mtu;
	__u8 ipv6;                 /* whether the way out is IPv6 */
	__u8 process;              /* whose flow it is */
	__u32 _reserved;
};
_Static_assert(sizeof(struct uplink_key) == 36, "kernel_layout.py packs it so");
_Static_assert(sizeof(struct downlink_key) == 68, "kernel_layout.py packs it so");
_Static_assert(sizeof(struct way) == 144, "kernel_layout.py packs it so");

struct sums {
	__u64 uplink_packets;
	__u64 uplink_bytes;
	__u64 downlink_packets;
	__u64 downlink_bytes;
};

/* Not preallocated: an idle relay needs little memory, and only userspace inserts. Never an LRU: the kernel must not
 * forget a flow that userspace believes to be here; when full, flows stay in userspace and the fill is a metric. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1024); /* set by the loader */
	__type(key, struct uplink_key);
	__type(value, struct way);
} uplink SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1024); /* set by the loader */
	__type(key, struct downlink_key);
	__type(value, struct way);
} downlink SEC(".maps");

struct roles {
	__u8 of[65536];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct roles);
} ports SEC(".maps");

/* Until when, in nanoseconds of CLOCK_MONOTONIC, flows are forwarded; the relay writes it again and again. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} lease SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, PROCESSES);
	__type(key, __u32);
	__type(value, struct sums);
} carried SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, LEFT_REASONS);
	__type(key, __u32);
	__type(value, __u64);
} left SEC(".maps");

/* Where a packet is put together: its headers end where its payload begins. */
#define HEADS (sizeof(struct ipv6hdr) + sizeof(struct udphdr) + HOP_HEADER)
struct room {
	__u8 octets[HEADS + ROOM + HEADS]; /* the verifier does not know that a later start means a shorter packet */
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct room);
} scratch SEC(".maps");

static __always_inline int leave(__u32 reason)
{
	__u64 *count = bpf_map_lookup_elem(&left, &reason);

	if (count)
		*count += 1;
	return TC_ACT_UNSPEC;
}

static __always_inline void map_address(__be32 *to, __be32 address)
{
	to[0] = to[1] = 0;
	to[2] = bpf_htonl(0xffff);
	to[3] = address;
}

/* Not a loop, which the verifier would not let a program with CAP_BPF alone run over packets. */
#define copy_words(to, from, words) __builtin_memcpy(to, from, (words) * sizeof(__u32))

/* A packet whose flow is known: other headers, the payload moved behind them, and out. */
static __always_inline int forward(struct __sk_buff *skb, struct way *way, __u32 ip_size, __u32 octets, __u16 checksum,
				   int up, __u64 now)
{
	__u32 zero = 0, payload_at = ETH_HLEN + ip_size + sizeof(struct udphdr);
	__u32 out_size = way->ipv6 ? sizeof(struct ipv6hdr) : sizeof(struct iphdr);
	__u32 added = up ? HOP_HEADER : 0;
	__u32 udp_length = sizeof(struct udphdr) + added + octets;
	__u32 process = way->process;
	struct room *room;
	struct sums *sums;
	__u32 *head;
	__u8 *payload;

	if (octets < 1 || octets > MAX_PAYLOAD || out_size + udp_length > way->mtu)
		return leave(LEFT_LONG);
	/* IPv4 knows packets without a checksum; behind other headers they would need one. */
	if (!checksum && (way->ipv6 || ip_size != sizeof(struct iphdr)))
		return leave(LEFT_ODD);
	room = bpf_map_lookup_elem(&scratch, &zero);
	if (!room)
		return leave(LEFT_REFUSED);
	payload = room->octets + HEADS;
	asm volatile("" : "+r"(octets)); /* the verifier has to see the bound at this very register */
	octets &= ROOM - 1;
	if (octets < 1)
		return leave(LEFT_LONG);
	if (bpf_skb_load_bytes(skb, payload_at + (up ? 0 : HOP_HEADER), payload, octets))
		return leave(LEFT_REFUSED);
	if (bpf_skb_change_tail(skb, payload_at + added + octets, 0))
		return leave(LEFT_REFUSED);

	/* From here on the packet is no longer what came in: it gets out, or is lost and counted. */
	if (out_size != ip_size) {
		if (bpf_skb_change_proto(skb, way->ipv6 ? bpf_htons(ETH_P_IPV6) : bpf_htons(ETH_P_IP), 0))
			goto failed;
	}
	if (up)
		copy_words((__u32 *)(payload - HOP_HEADER), way->header, HOP_HEADER / 4);
	if (way->ipv6) {
		head = (__u32 *)(payload - added - sizeof(struct udphdr) - sizeof(struct ipv6hdr));
		copy_words(head, way->outer, 10);
		head[1] |= bpf_htons(udp_length);
		head[10] = way->ports;
		head[11] = bpf_htons(udp_length) | (__u32)checksum << 16;
		if (bpf_skb_store_bytes(skb, ETH_HLEN, head, sizeof(struct ipv6hdr) + sizeof(struct udphdr) + added + octets, 0))
			goto failed;
	} else {
		__be16 total = bpf_htons(sizeof(struct iphdr) + udp_length);
		__u32 sum = way->outer_sum + total;

		sum = (sum & 0xffff) + (sum >> 16);
		sum = (sum & 0xffff) + (sum >> 16);
		head = (__u32 *)(payload - added - sizeof(struct udphdr) - sizeof(struct iphdr));
		copy_words(head, way->outer, 5);
		head[0] |= (__u32)total << 16;
		head[2] |= (~sum & 0xffff) << 16;
		head[5] = way->ports;
		head[6] = bpf_htons(udp_length) | (__u32)checksum << 16;
		if (bpf_skb_store_bytes(skb, ETH_HLEN, head, sizeof(struct iphdr) + sizeof(struct udphdr) + added + octets, 0))
			goto failed;
	}
	if (checksum) {
		__u32 at = ETH_HLEN + out_size + __builtin_offsetof(struct udphdr, check);

		if (bpf_l4_csum_replace(skb, at, 0, way->pseudo_change, BPF_F_PSEUDO_HDR | BPF_F_MARK_MANGLED_0) ||
		    bpf_l4_csum_replace(skb, at, 0, way->body_change, BPF_F_MARK_MANGLED_0))
			goto failed;
	}

	way->last_seen = now;
	__sync_fetch_and_add(&way->packets, 1);
	__sync_fetch_and_add(&way->bytes, octets);
	sums = bpf_map_lookup_elem(&carried, &process);
	if (sums && up) {
		sums->uplink_packets += 1;
		sums->uplink_bytes += octets;
	} else if (sums) {
		sums->downlink_packets += 1;
		sums->downlink_bytes += octets;
	}
	return bpf_redirect_neigh(way->ifindex, &way->next, sizeof(way->next), 0);

failed:
	leave(DROPPED);
	return TC_ACT_SHOT;
}

/* Whether the packet goes on to its UDP header; it pulls what the driver left in pages. */
static __always_inline int reaches(struct __sk_buff *skb, __u32 need)
{
	if ((void *)(long)skb->data + need <= (void *)(long)skb->data_end)
		return 1;
	return bpf_skb_pull_data(skb, need) == 0;
}

SEC("tc")
int relay(struct __sk_buff *skb)
{
	__u32 zero = 0, ip_size, ip_octets, udp_octets, role;
	struct roles *roles;
	struct udphdr *udp;
	__u16 checksum, local_port, remote_port;
	struct way *way;
	__u64 *until, now;
	int odd;
	union {
		struct uplink_key up;
		struct downlink_key down;
	} key;
	__u8 first, *body;

	/* Both keys begin alike: remote address, local address, remote port, local port. */
	if (skb->protocol == bpf_htons(ETH_P_IP)) {
		struct iphdr *ip;

		ip_size = sizeof(*ip);
		if (!reaches(skb, ETH_HLEN + sizeof(*ip) + sizeof(*udp)))
			return TC_ACT_UNSPEC;
		ip = (void *)(long)skb->data + ETH_HLEN;
		udp = (void *)(ip + 1);
		if ((void *)(udp + 1) > (void *)(long)skb->data_end)
			return TC_ACT_UNSPEC;
		if (ip->protocol != IPPROTO_UDP || *(__u8 *)ip != 0x45)
			return TC_ACT_UNSPEC;
		odd = (ip->frag_off & bpf_htons(IPV4_FRAGMENT)) != 0;
		ip_octets = bpf_ntohs(ip->tot_len) - sizeof(*ip);
		map_address(key.down.peer, ip->saddr);
		map_address(key.down.local, ip->daddr);
	} else if (skb->protocol == bpf_htons(ETH_P_IPV6)) {
		struct ipv6hdr *ip;

		ip_size = sizeof(*ip);
		if (!reaches(skb, ETH_HLEN + sizeof(*ip) + sizeof(*udp)))
			return TC_ACT_UNSPEC;
		ip = (void *)(long)skb->data + ETH_HLEN;
		udp = (void *)(ip + 1);
		if ((void *)(udp + 1) > (void *)(long)skb->data_end)
			return TC_ACT_UNSPEC;
		if (ip->nexthdr != IPPROTO_UDP || ip->version != 6)
			return TC_ACT_UNSPEC;
		odd = 0;
		ip_octets = bpf_ntohs(ip->payload_len);
		copy_words(key.down.peer, ip->saddr.in6_u.u6_addr32, 4);
		copy_words(key.down.local, ip->daddr.in6_u.u6_addr32, 4);
	} else {
		return TC_ACT_UNSPEC;
	}
	body = (__u8 *)(udp + 1);
	local_port = udp->dest;
	remote_port = udp->source;
	checksum = udp->check;
	udp_octets = bpf_ntohs(udp->len);

	roles = bpf_map_lookup_elem(&ports, &zero);
	if (!roles)
		return TC_ACT_UNSPEC;
	role = roles->of[bpf_ntohs(local_port)];
	if (role == NOBODY)
		return TC_ACT_UNSPEC;

	if (odd || udp_octets != ip_octets || udp_octets < sizeof(struct udphdr) || skb->gso_segs > 1 || skb->gso_size ||
	    skb->vlan_present || skb->pkt_type != PACKET_HOST || skb->len < ETH_HLEN + ip_size + udp_octets)
		return leave(LEFT_ODD);
	if (udp_octets > sizeof(struct udphdr) + HOP_HEADER + MAX_PAYLOAD)
		return leave(LEFT_LONG);
	key.down.peer_port = remote_port;
	key.down.local_port = local_port;
	udp_octets -= sizeof(struct udphdr);

	if (role == PUBLIC) {
		if (udp_octets < 1)
			return leave(LEFT_KIND);
		if (body + 1 <= (__u8 *)(long)skb->data_end)
			first = *body;
		else if (bpf_skb_load_bytes(skb, ETH_HLEN + ip_size + sizeof(*udp), &first, 1))
			return leave(LEFT_KIND);
		if (first <= 3)
			return leave(LEFT_CHECK);
		/* DTLS and RTP or RTCP (RFC 7983); userspace drops the others, and counts them. */
		if (!(first >= 20 && first <= 63) && !(first >= 128 && first <= 191))
			return leave(LEFT_KIND);
		way = bpf_map_lookup_elem(&uplink, &key.up);
	} else {
		if (udp_octets <= HOP_HEADER)
			return leave(LEFT_KIND);
		if (body + HOP_HEADER + 1 <= (__u8 *)(long)skb->data_end) {
			copy_words(key.down.header, body, HOP_HEADER / 4);
			first = body[HOP_HEADER];
		} else if (bpf_skb_load_bytes(skb, ETH_HLEN + ip_size + sizeof(*udp), key.down.header, HOP_HEADER) ||
			   bpf_skb_load_bytes(skb, ETH_HLEN + ip_size + sizeof(*udp) + HOP_HEADER, &first, 1)) {
			return leave(LEFT_KIND);
		}
		/* Answers to checks are few, and tell userspace that the transceiver lives. */
		if (first <= 3)
			return leave(LEFT_CHECK);
		way = bpf_map_lookup_elem(&downlink, &key.down);
	}
	if (!way)
		return leave(LEFT_UNKNOWN);
	now = bpf_ktime_get_coarse_ns();
	until = bpf_map_lookup_elem(&lease, &zero);
	if (!until || now >= *until)
		return leave(LEFT_LAPSED);
	if (role == PUBLIC)
		return forward(skb, way, ip_size, udp_octets, checksum, 1, now);
	return forward(skb, way, ip_size, udp_octets - HOP_HEADER, checksum, 0, now);
}

char _license[] SEC("license") = "Apache-2.0";
