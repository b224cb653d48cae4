package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"net"
	"strings"
	"time"

	"github.com/pion/datachannel"
	"github.com/pion/dtls/v3"
	"github.com/pion/dtls/v3/pkg/crypto/selfsign"
	"github.com/pion/logging"
	"github.com/pion/sctp"
	"github.com/pion/srtp/v3"
	"golang.org/x/sys/unix"
)

const (
	remembered = 4096 // frames whose sending time is kept: 80 s
	patience   = 10 * time.Second
)

// One caller. Its media belongs to the loop's thread.
type call struct {
	socket          *socket // none behind a relay
	seat            int     // there
	port            int
	ufrag, password string

	remoteUfrag, remotePassword string
	remotePort                  int

	dtls        *records
	association *dtls.Conn
	channels    *sctp.Association
	channel     *datachannel.DataChannel

	checked    bool
	checkedAt  int64
	reachable  chan struct{}
	heard      chan struct{}
	firstHeard int64

	live, talks                      bool
	place                            int
	nextFrame, nextCheck, nextReport int64

	seals, opens   *srtp.Context
	ssrc           uint32
	number         uint32
	firstSequence  uint16
	firstTimestamp uint32
	sealed         []byte
	sentAt         [remembered]int64
	early, refused int
	unsent         int

	// Moments of the set-up, in nanoseconds: offer posted, answer there, first check answered, DTLS done, channel open.
	offeredAt, answeredAt, securedAt, openAt int64
	locator                                  string
}

func (c *call) due() int64 { return min(c.nextFrame, c.nextCheck, c.nextReport) }

var quiet = &logging.DefaultLoggerFactory{Writer: io.Discard, DefaultLogLevel: logging.LogLevelDisabled}

// The certificate of all callers: making one each would measure the generator.
var identity, fingerprint = func() (tls.Certificate, string) {
	made, err := selfsign.GenerateSelfSigned()
	if err != nil {
		panic(err)
	}
	if _, is := made.PrivateKey.(*ecdsa.PrivateKey); !is {
		panic("not an elliptic curve key")
	}
	digest := sha256.Sum256(made.Certificate[0])
	parts := make([]string, len(digest))
	for n, octet := range digest {
		parts[n] = strings.ToUpper(hex.EncodeToString([]byte{octet}))
	}
	return made, strings.Join(parts, ":")
}()

func word(length int) string {
	octets := make([]byte, length/2)
	_, _ = rand.Read(octets)
	return hex.EncodeToString(octets)
}

// A whole set-up: offer, answer, check, handshake, and the data channel if wanted.
func place(l *loop, to server, channel, talk bool) (*call, error) {
	c := &call{
		ufrag: word(8), password: word(32), ssrc: mathrand.Uint32(),
		firstSequence: uint16(mathrand.Uint32() & 0x7FFF), firstTimestamp: mathrand.Uint32(),
		reachable: make(chan struct{}), heard: make(chan struct{}),
	}
	if err := c.appear(l); err != nil {
		return nil, err
	}
	if err := c.setUp(l, to, channel); err != nil {
		c.close(l, to)
		return nil, err
	}
	l.ask(func() { l.join(c, talk) })
	return c, nil
}

// Gets a socket, or a seat behind the relay.
func (c *call) appear(l *loop) (err error) {
	if l.trunk != nil {
		l.ask(func() { err = l.trunk.take(c) })
		c.port = firstPort + c.seat
		c.dtls = newRecords(func(datagram []byte) bool { return l.trunk.sendNow(c, datagram) }, c.port)
		return err
	}
	if c.socket, err = newSocket(); err != nil {
		return err
	}
	c.port = c.socket.port
	c.dtls = newRecords(c.socket.send, c.port)
	return nil
}

func (c *call) setUp(l *loop, to server, channel bool) error {
	c.offeredAt = clock()
	answer, locator, err := to.post(c.offer(l.coding, channel))
	if err != nil {
		return err
	}
	c.answeredAt, c.locator = clock(), locator
	address, err := c.read(answer)
	if err != nil {
		return err
	}
	if c.socket != nil {
		if err := c.socket.connect([4]byte(address.IP.To4()), address.Port); err != nil {
			return err
		}
	}
	l.ask(func() { l.watch(c); l.check(c) })
	for wait := 0; ; wait++ {
		select {
		case <-c.reachable:
		case <-time.After(500 * time.Millisecond):
			if wait > 20 {
				return errors.New("no check was answered")
			}
			l.ask(func() { l.check(c) })
			continue
		}
		break
	}
	return c.secure(l, channel)
}

func (c *call) secure(l *loop, channel bool) error {
	association, err := dtls.Server(c.dtls, c.dtls.RemoteAddr(), &dtls.Config{
		Certificates:         []tls.Certificate{identity},
		InsecureSkipVerify:   true, // that the other side checks ours is what matters here
		ClientAuth:           dtls.RequireAnyClientCert,
		ExtendedMasterSecret: dtls.RequireExtendedMasterSecret,
		SRTPProtectionProfiles: []dtls.SRTPProtectionProfile{
			dtls.SRTP_AEAD_AES_128_GCM, dtls.SRTP_AES128_CM_HMAC_SHA1_80,
		},
	})
	if err != nil {
		return err
	}
	limit, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	stop := time.AfterFunc(patience, c.dtls.end) // Pion waits for its reader, whatever the context says
	defer stop.Stop()
	if err := association.HandshakeContext(limit); err != nil {
		return fmt.Errorf("handshake: %w", err)
	}
	c.association = association
	seals, opens, err := keys(association)
	if err != nil {
		return err
	}
	c.securedAt = clock()
	l.ask(func() { c.seals, c.opens = seals, opens })
	if !channel {
		return nil
	}
	c.channels, err = sctp.Client(sctp.Config{NetConn: association, MaxReceiveBufferSize: 65536, LoggerFactory: quiet})
	if err != nil {
		return fmt.Errorf("sctp: %w", err)
	}
	c.channel, err = datachannel.Dial(c.channels, 1, &datachannel.Config{Label: "oai-events", LoggerFactory: quiet})
	if err != nil {
		return fmt.Errorf("channel: %w", err)
	}
	c.openAt = clock()
	return nil
}

func keys(association *dtls.Conn) (seals, opens *srtp.Context, err error) {
	chosen, ok := association.SelectedSRTPProtectionProfile()
	if !ok {
		return nil, nil, errors.New("no SRTP profile")
	}
	profile := srtp.ProtectionProfile(chosen)
	key, err := profile.KeyLen()
	if err != nil {
		return nil, nil, err
	}
	salt, err := profile.SaltLen()
	if err != nil {
		return nil, nil, err
	}
	state, ok := association.ConnectionState()
	if !ok {
		return nil, nil, errors.New("no state")
	}
	all, err := state.ExportKeyingMaterial("EXTRACTOR-dtls_srtp", nil, 2*(key+salt))
	if err != nil {
		return nil, nil, err
	}
	theirKey, ourKey := all[:key], all[key:2*key] // we are the DTLS server
	theirSalt, ourSalt := all[2*key:2*key+salt], all[2*key+salt:]
	if seals, err = srtp.CreateContext(ourKey, ourSalt, profile); err != nil {
		return nil, nil, err
	}
	opens, err = srtp.CreateContext(theirKey, theirSalt, profile)
	return seals, opens, err
}

// Hangs up as a browser does: close_notify, and silence.
func (c *call) close(l *loop, to server) {
	if c.channels != nil {
		_ = c.channels.Close()
	}
	if c.association != nil {
		_ = c.association.Close()
	}
	c.dtls.end()
	l.ask(func() { l.forget(c) })
}

// DTLS records between the loop, which reads the socket, and Pion's handshake.
type records struct {
	send   func([]byte) bool
	port   int
	in     chan []byte
	ended  chan struct{}
	remote net.UDPAddr
}

func newRecords(send func([]byte) bool, port int) *records {
	return &records{send: send, port: port, in: make(chan []byte, 64), ended: make(chan struct{}), remote: net.UDPAddr{Port: 1}}
}

func (r *records) put(datagram []byte) {
	select {
	case r.in <- append([]byte(nil), datagram...):
	default: // DTLS repeats what is lost
	}
}

func (r *records) end() {
	select {
	case <-r.ended:
	default:
		close(r.ended)
	}
}

func (r *records) ReadFrom(into []byte) (int, net.Addr, error) {
	select {
	case datagram := <-r.in:
		return copy(into, datagram), &r.remote, nil
	case <-r.ended:
		return 0, nil, net.ErrClosed
	}
}

func (r *records) WriteTo(datagram []byte, _ net.Addr) (int, error) {
	select {
	case <-r.ended:
		return 0, net.ErrClosed
	default:
	}
	if !r.send(datagram) {
		return 0, unix.EAGAIN
	}
	return len(datagram), nil
}

func (r *records) Close() error                     { r.end(); return nil }
func (r *records) LocalAddr() net.Addr              { return &net.UDPAddr{Port: r.port} }
func (r *records) RemoteAddr() net.Addr             { return &r.remote }
func (r *records) SetDeadline(time.Time) error      { return nil }
func (r *records) SetReadDeadline(time.Time) error  { return nil }
func (r *records) SetWriteDeadline(time.Time) error { return nil }
