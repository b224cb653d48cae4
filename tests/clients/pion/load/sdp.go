package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
)

// Where offers are posted: a transceiver's internal API if there is a bearer key, else a server that takes plain SDP.
type server struct {
	URL    string          `json:"url"`
	Bearer string          `json:"bearer"`
	Config json.RawMessage `json:"config"`
}

var posts = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}

func (s server) post(offer string) (answer, locator string, err error) {
	body, kind := []byte(offer), "application/sdp"
	if s.Bearer != "" {
		config := s.Config
		if config == nil {
			config = json.RawMessage("{}")
		}
		body, err = json.Marshal(map[string]any{"offer": offer, "session": config, "relays": []any{}})
		if err != nil {
			return "", "", err
		}
		kind = "application/json"
	}
	request, err := http.NewRequest(http.MethodPost, s.URL, bytes.NewReader(body))
	if err != nil {
		return "", "", err
	}
	request.Header.Set("Content-Type", kind)
	if s.Bearer != "" {
		request.Header.Set("Authorization", "Bearer "+s.Bearer)
	}
	response, err := posts.Do(request)
	if err != nil {
		return "", "", err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return "", "", err
	}
	if response.StatusCode != http.StatusCreated {
		return "", "", fmt.Errorf("%s: %s", response.Status, text)
	}
	if s.Bearer == "" {
		return string(text), "", nil
	}
	var created struct {
		ID     string `json:"id"`
		Answer string `json:"answer"`
	}
	err = json.Unmarshal(text, &created)
	return created.Answer, created.ID, err
}

func (c *call) offer(coding coding, channel bool) string {
	transport := fmt.Sprintf("c=IN IP4 127.0.0.1\r\na=ice-ufrag:%s\r\na=ice-pwd:%s\r\na=fingerprint:sha-256 %s\r\n"+
		"a=setup:actpass\r\na=candidate:1 1 udp 2130706431 127.0.0.1 %d typ host\r\na=end-of-candidates\r\n",
		c.ufrag, c.password, fingerprint, c.port)
	bundle, application := "0", ""
	if channel {
		bundle = "0 1"
		application = "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\n" + transport +
			"a=mid:1\r\na=sctp-port:5000\r\na=max-message-size:65536\r\n"
	}
	return fmt.Sprintf("v=0\r\no=- %d 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE %s\r\na=msid-semantic: WMS *\r\n"+
		"m=audio 9 UDP/TLS/RTP/SAVPF %d\r\n%sa=mid:0\r\na=sendrecv\r\na=rtcp-mux\r\na=rtcp-rsize\r\n"+
		"%sa=msid:load load\r\na=ssrc:%d cname:load\r\na=ssrc:%d msid:load load\r\n%s",
		c.ssrc, bundle, coding.kind, transport, coding.offers, c.ssrc, c.ssrc, application)
}

// Takes the credentials from an answer; the first candidate over UDP and IPv4.
func (c *call) read(answer string) (*net.UDPAddr, error) {
	var address *net.UDPAddr
	for _, line := range strings.Split(answer, "\n") {
		line = strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(line, "a=ice-ufrag:"):
			c.remoteUfrag = strings.TrimPrefix(line, "a=ice-ufrag:")
		case strings.HasPrefix(line, "a=ice-pwd:"):
			c.remotePassword = strings.TrimPrefix(line, "a=ice-pwd:")
		case strings.HasPrefix(line, "a=candidate:") && address == nil:
			parts := strings.Fields(line)
			if len(parts) < 6 || !strings.EqualFold(parts[2], "udp") || net.ParseIP(parts[4]).To4() == nil {
				continue
			}
			port, err := strconv.Atoi(parts[5])
			if err != nil {
				return nil, err
			}
			address = &net.UDPAddr{IP: net.ParseIP(parts[4]), Port: port}
		}
	}
	if address == nil || c.remoteUfrag == "" || c.remotePassword == "" {
		return nil, fmt.Errorf("no way to the server in its answer:\n%s", answer)
	}
	c.remotePort = address.Port
	return address, nil
}
