// A model server by the Realtime protocol for benches: it takes all that callers say and speaks all the time, in pieces,
// a little ahead of being heard; it understands nothing. Lighter than what it serves, so that it can share a processor with callers.
//
//	model PCM24 PCMU
//
// The files are what it says, in either format. It prints its port, and for each line of standard input what it heard.
package main

import (
	"bufio"
	"bytes"
	"crypto/sha1"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

const (
	piece = 100 * time.Millisecond
	ahead = 300 * time.Millisecond // of what is heard, as models are: what comes late is this program's delay otherwise
)

var heard, octets atomic.Int64

func main() {
	runtime.GOMAXPROCS(2)
	pcm, err := os.ReadFile(os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	pcmu, err := os.ReadFile(os.Args[2])
	if err != nil {
		log.Fatal(err)
	}
	words := map[bool][][]byte{false: deltas(pcm, 4800), true: deltas(pcmu, 800)}
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				log.Fatal(err)
			}
			go serve(connection, words)
		}
	}()
	fmt.Println(listener.Addr().(*net.TCPAddr).Port)
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		fmt.Printf("{\"heard\": %d, \"octets\": %d}\n", heard.Load(), octets.Load())
	}
}

// What is said, as base64, ready to be sent.
func deltas(sound []byte, size int) [][]byte {
	var made [][]byte
	for at := 0; at+size <= len(sound); at += size {
		made = append(made, []byte(base64.StdEncoding.EncodeToString(sound[at:at+size])))
	}
	return made
}

type session struct {
	connection net.Conn
	lock       sync.Mutex
	over       chan struct{}
}

func serve(connection net.Conn, words map[bool][][]byte) {
	defer connection.Close()
	reader := bufio.NewReaderSize(connection, 16384)
	if err := shakeHands(connection, reader); err != nil {
		return
	}
	s := &session{connection: connection, over: make(chan struct{})}
	defer close(s.over)
	s.send([]byte(`{"type":"session.created","event_id":"event_0","session":{"type":"realtime","audio":{}}}`))
	speaks, telephone := false, false
	for {
		message, err := s.read(reader)
		if err != nil {
			return
		}
		if bytes.HasPrefix(message, []byte(`{"type":"input_audio_buffer.append"`)) ||
			bytes.HasPrefix(message, []byte(`{"type": "input_audio_buffer.append"`)) {
			heard.Add(1)
			octets.Add(int64(len(message)))
			if !speaks {
				speaks = true
				go s.speak(words[telephone])
			}
			continue
		}
		var event struct {
			Type    string          `json:"type"`
			Session json.RawMessage `json:"session"`
		}
		if err := json.Unmarshal(message, &event); err != nil {
			return
		}
		if event.Type == "session.update" {
			telephone = bytes.Contains(event.Session, []byte("audio/pcmu"))
			s.send([]byte(`{"type":"session.updated","event_id":"event_1","session":` + string(event.Session) + `}`))
		}
	}
}

// For as long as the call lasts. Each delta's event id tells when it was sent, on the machine's monotonic clock.
func (s *session) speak(words [][]byte) {
	s.send([]byte(`{"type":"response.created","event_id":"event_2","response":{"id":"resp_1","object":"realtime.response"}}`))
	next := time.Now().Add(-ahead)
	for number := 0; ; number++ {
		s.send(fmt.Appendf(nil, `{"type":"response.output_audio.delta","event_id":"event_%d","response_id":"resp_1",`+
			`"item_id":"item_1","output_index":0,"content_index":0,"delta":"%s"}`, clock(), words[number%len(words)]))
		next = next.Add(piece)
		select {
		case <-s.over:
			return
		case <-time.After(time.Until(next)):
		}
	}
}

func clock() int64 {
	var now unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &now)
	return now.Nano()
}

// --- WebSocket (RFC 6455), as far as it is used here ---

func shakeHands(connection net.Conn, reader *bufio.Reader) error {
	key := ""
	for {
		line, err := reader.ReadString('\n')
		if err != nil {
			return err
		}
		line = strings.TrimSpace(line)
		if line == "" {
			break
		}
		if name, value, found := strings.Cut(line, ":"); found && strings.EqualFold(name, "Sec-WebSocket-Key") {
			key = strings.TrimSpace(value)
		}
	}
	digest := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	_, err := fmt.Fprintf(connection, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
		"Sec-WebSocket-Accept: %s\r\n\r\n", base64.StdEncoding.EncodeToString(digest[:]))
	return err
}

func (s *session) send(message []byte) { s.frame(0x81, message) }

func (s *session) frame(kind byte, message []byte) {
	head := []byte{kind}
	if len(message) < 126 {
		head = append(head, byte(len(message)))
	} else {
		head = binary.BigEndian.AppendUint16(append(head, 126), uint16(len(message)))
	}
	s.lock.Lock()
	defer s.lock.Unlock()
	_, _ = s.connection.Write(append(head, message...))
}

// The next text message; pings are answered.
func (s *session) read(reader *bufio.Reader) ([]byte, error) {
	for {
		var head [2]byte
		if _, err := io.ReadFull(reader, head[:]); err != nil {
			return nil, err
		}
		length := int(head[1] & 0x7F)
		switch length {
		case 126:
			var more [2]byte
			if _, err := io.ReadFull(reader, more[:]); err != nil {
				return nil, err
			}
			length = int(binary.BigEndian.Uint16(more[:]))
		case 127:
			return nil, errors.New("longer than anything here")
		}
		var mask [4]byte
		if head[1]&0x80 != 0 {
			if _, err := io.ReadFull(reader, mask[:]); err != nil {
				return nil, err
			}
		}
		payload := make([]byte, length)
		if _, err := io.ReadFull(reader, payload); err != nil {
			return nil, err
		}
		for n := range payload {
			payload[n] ^= mask[n&3]
		}
		switch head[0] & 0x0F {
		case 1:
			return payload, nil
		case 8:
			return nil, io.EOF
		case 9:
			s.frame(0x8A, payload)
		}
	}
}
