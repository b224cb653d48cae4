package main

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha1"
	"encoding/binary"
	"hash/crc32"
)

const numberTag = 4 // octets behind a frame

// How frames are encoded: the payload type, ticks of the media clock in a millisecond, and what an offer says of it.
type coding struct {
	kind   uint8
	ticks  uint32
	offers string
}

var (
	opus = coding{111, 48, "a=rtpmap:111 opus/48000/2\r\na=fmtp:111 minptime=10;useinbandfec=1\r\na=rtcp-fb:111 nack\r\n"}
	pcmu = coding{0, 8, "a=rtpmap:0 PCMU/8000\r\na=rtcp-fb:0 nack\r\n"}
)

// By the way that the call has.
func (l *loop) transmit(c *call, datagram []byte) bool {
	if c.socket == nil {
		return l.trunk.send(c, datagram)
	}
	return c.socket.send(datagram)
}

// A datagram of a call, by its first octet (RFC 7983).
func (l *loop) take(c *call, datagram []byte, at int64) {
	switch first := datagram[0]; {
	case first < 4:
		l.onStun(c, datagram)
	case first >= 20 && first < 64:
		c.dtls.put(datagram)
	case first >= 128 && first < 192 && len(datagram) >= 12:
		if kind := datagram[1]; kind >= 192 && kind <= 223 {
			return // reports: nobody reads them here
		}
		l.hear(c, datagram, at)
	}
}

func (l *loop) hear(c *call, datagram []byte, at int64) {
	if c.firstHeard == 0 {
		c.firstHeard = at
		if c.heard != nil {
			close(c.heard)
		}
	}
	if c.opens == nil {
		c.early++
		return
	}
	plain, err := c.opens.DecryptRTP(l.plain[:0], datagram, nil)
	if err != nil {
		c.refused++
		return
	}
	l.plain = plain
	if l.window == nil {
		return
	}
	head := 12 + 4*int(plain[0]&0x0F)
	if plain[0]&0x10 != 0 && len(plain) >= head+4 {
		head += 4 + 4*int(binary.BigEndian.Uint16(plain[head+2:]))
	}
	heard := arrival{
		at: at, sequence: binary.BigEndian.Uint16(plain[2:]), timestamp: binary.BigEndian.Uint32(plain[4:]), number: -1,
	}
	if l.numbered && len(plain) >= head+numberTag+1 {
		heard.number = int64(binary.BigEndian.Uint32(plain[len(plain)-numberTag:]))
	}
	l.window.heard(c, heard)
}

func (l *loop) speak(c *call, now int64) {
	payload := l.frames[int(c.number)%len(l.frames)]
	packet := append(l.out[:0], 0x80, l.coding.kind)
	packet = binary.BigEndian.AppendUint16(packet, uint16(c.number)+c.firstSequence)
	packet = binary.BigEndian.AppendUint32(packet, c.number*20*l.coding.ticks+c.firstTimestamp)
	packet = binary.BigEndian.AppendUint32(packet, c.ssrc)
	packet = append(packet, payload...)
	if l.numbered {
		packet = binary.BigEndian.AppendUint32(packet, c.number)
	}
	l.out = packet
	sealed, err := c.seals.EncryptRTP(c.sealed[:0], packet, nil)
	if err != nil {
		return
	}
	c.sealed = sealed
	c.sentAt[c.number%remembered] = now
	c.number++
	if !l.transmit(c, sealed) {
		c.unsent++
	}
}

// A sender report and a source description, as browsers send every five seconds.
func (l *loop) report(c *call, now int64) {
	if c.seals == nil {
		return
	}
	ntp := uint64(now/1e9+2208988800)<<32 | uint64(now%1e9)<<32/1e9
	packet := []byte{0x80, 200, 0, 6}
	packet = binary.BigEndian.AppendUint32(packet, c.ssrc)
	packet = binary.BigEndian.AppendUint64(packet, ntp)
	packet = binary.BigEndian.AppendUint32(packet, c.number*20*l.coding.ticks+c.firstTimestamp)
	packet = binary.BigEndian.AppendUint32(packet, c.number)
	packet = binary.BigEndian.AppendUint32(packet, c.number*80)
	packet = append(packet, 0x81, 202, 0, 3)
	packet = binary.BigEndian.AppendUint32(packet, c.ssrc)
	packet = append(packet, 1, 4, 'l', 'o', 'a', 'd', 0, 0)
	if sealed, err := c.seals.EncryptRTCP(nil, packet, nil); err == nil {
		l.transmit(c, sealed)
	}
}

// --- ICE ---------------------------------------------------------------------------------------------------------------

const magic = 0x2112A442

// A check of the path, which is consent as well (RFC 7675).
func (l *loop) check(c *call) {
	username := c.remoteUfrag + ":" + c.ufrag
	body := attribute(nil, 0x0006, []byte(username))
	body = attribute(body, 0x0024, []byte{0x6E, 0, 0x1E, 0xFF})    // PRIORITY
	body = attribute(body, 0x802A, []byte{9, 9, 9, 9, 9, 9, 9, 9}) // ICE-CONTROLLING
	body = attribute(body, 0x0025, nil)                            // USE-CANDIDATE
	var id [12]byte
	_, _ = rand.Read(id[:])
	l.transmit(c, stun(0x0001, id[:], body, c.remotePassword))
}

func (l *loop) onStun(c *call, datagram []byte) {
	if len(datagram) < 20 || binary.BigEndian.Uint32(datagram[4:]) != magic {
		return
	}
	switch binary.BigEndian.Uint16(datagram) {
	case 0x0101:
		if !c.checked {
			c.checked = true
			c.checkedAt = clock()
			close(c.reachable)
		}
	case 0x0001: // from servers that are full ICE agents
		mapped := []byte{0, 1, 0, 0, 127 ^ 0x21, 0 ^ 0x12, 0 ^ 0xA4, 1 ^ 0x42}
		binary.BigEndian.PutUint16(mapped[2:], uint16(c.remotePort)^(magic>>16))
		l.transmit(c, stun(0x0101, datagram[8:20], attribute(nil, 0x0020, mapped), c.password))
	}
}

func attribute(body []byte, kind uint16, value []byte) []byte {
	body = binary.BigEndian.AppendUint16(body, kind)
	body = binary.BigEndian.AppendUint16(body, uint16(len(value)))
	body = append(body, value...)
	for len(body)%4 != 0 {
		body = append(body, 0)
	}
	return body
}

// With MESSAGE-INTEGRITY and FINGERPRINT (RFC 8489).
func stun(kind uint16, id []byte, body []byte, password string) []byte {
	message := binary.BigEndian.AppendUint16(nil, kind)
	message = binary.BigEndian.AppendUint16(message, uint16(len(body)+24))
	message = binary.BigEndian.AppendUint32(message, magic)
	message = append(append(message, id...), body...)
	code := hmac.New(sha1.New, []byte(password))
	code.Write(message)
	message = attribute(message, 0x0008, code.Sum(nil))
	binary.BigEndian.PutUint16(message[2:], uint16(len(body)+32))
	check := binary.BigEndian.AppendUint32(nil, crc32.ChecksumIEEE(message)^0x5354554E)
	return attribute(message, 0x8028, check)
}
