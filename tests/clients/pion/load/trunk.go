package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

const (
	hopHeader = 32
	hopMTU    = 1400
	firstPort = 10_000 // of the clients that the headers name, one after the other
	nap       = 100_000
	perTurn   = 64
)

var (
	bundleStart = []byte{'V', 'F', 0x11}
	dataStart   = []byte{'V', 'F', 0x10}
)

// All callers behind one relay: their packets in hop datagrams, bundled as a relay of the userspace tier bundles them
// (those that come within its nap of 0.1 ms). The headers come ready made: nobody here has the fleet's key.
type trunk struct {
	socket  *socket
	headers [][]byte
	calls   []*call
	free    []int
	lane    []byte
	count   int
	since   int64
}

func newTrunk(hop, file string) (*trunk, error) {
	octets, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	address, err := net.ResolveUDPAddr("udp4", hop)
	if err != nil {
		return nil, err
	}
	bound, err := newSocket()
	if err != nil {
		return nil, err
	}
	if err := unix.SetsockoptInt(bound.fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 4<<20); err != nil {
		return nil, err
	}
	if err := bound.connect([4]byte(address.IP.To4()), address.Port); err != nil {
		return nil, err
	}
	t := &trunk{socket: bound}
	for at := 0; at+hopHeader <= len(octets); at += hopHeader {
		t.headers = append(t.headers, octets[at:at+hopHeader])
		t.free = append(t.free, len(t.headers)-1)
	}
	t.calls = make([]*call, len(t.headers))
	return t, nil
}

// A place behind the relay; on the loop's thread, like all that follows but `sendNow`.
func (t *trunk) take(c *call) error {
	if len(t.free) == 0 {
		return fmt.Errorf("%d callers are all that there are headers for", len(t.headers))
	}
	c.seat = t.free[0]
	t.free = t.free[1:]
	t.calls[c.seat] = c
	return nil
}

func (t *trunk) leave(c *call) {
	if t.calls[c.seat] == c {
		t.calls[c.seat] = nil
		t.free = append(t.free, c.seat)
	}
}

// Puts a packet into the bundle that waits.
func (t *trunk) send(c *call, packet []byte) bool {
	length := hopHeader + len(packet)
	sent := true
	if t.count > 0 && (len(t.lane)+2+length > hopMTU || t.count == 255) {
		sent = t.flush()
	}
	if t.count == 0 {
		t.lane = append(append(t.lane[:0], bundleStart...), 0)
		t.since = clock()
	}
	t.lane = binary.BigEndian.AppendUint16(t.lane, uint16(length))
	t.lane = append(append(t.lane, t.headers[c.seat]...), packet...)
	t.count++
	return sent
}

func (t *trunk) flushDue(now int64) {
	if t.count > 0 && now-t.since >= nap {
		t.flush()
	}
}

func (t *trunk) flush() bool {
	t.lane[3] = byte(t.count)
	datagram := t.lane
	if t.count == 1 {
		datagram = t.lane[6:]
	}
	t.count = 0
	return t.socket.send(datagram)
}

// For the handshake's goroutines.
func (t *trunk) sendNow(c *call, packet []byte) bool {
	return t.socket.send(append(append([]byte(nil), t.headers[c.seat]...), packet...))
}

func (t *trunk) read(l *loop, from *reader) {
	for range perTurn {
		datagram, at := from.receive(t.socket.fd)
		if datagram == nil {
			return
		}
		if !bytes.HasPrefix(datagram, bundleStart) {
			t.hand(l, datagram, at)
			continue
		}
		for rest := datagram[4:]; len(rest) > 2; {
			length := int(binary.BigEndian.Uint16(rest))
			if 2+length > len(rest) {
				break
			}
			t.hand(l, rest[2:2+length], at)
			rest = rest[2+length:]
		}
	}
}

func (t *trunk) hand(l *loop, part []byte, at int64) {
	if len(part) <= hopHeader || !bytes.HasPrefix(part, dataStart) {
		return
	}
	place := int(binary.BigEndian.Uint16(part[4:])) - firstPort
	if place >= 0 && place < len(t.calls) {
		if c := t.calls[place]; c != nil {
			l.take(c, part[hopHeader:], at)
		}
	}
}
