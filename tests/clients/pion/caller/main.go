// A caller by Pion, driven by lines of JSON on standard input; what happens is told in lines of JSON on standard output.
//
//	caller -frames FILE [-red] [-channel LABEL] [-renominate]
//
// FILE holds Opus frames of 20 ms, each behind its length (16 bits, big-endian); they are said over and over.
package main

import (
	"bufio"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"flag"
	"log"
	"net"
	"os"
	"sync"
	"time"

	"github.com/pion/interceptor"
	"github.com/pion/interceptor/pkg/nack"
	"github.com/pion/interceptor/pkg/report"
	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"

	said "voicefleet.dev/tests/clients/pion/frames"
)

const (
	opusType = 111
	redType  = 63
)

type command struct {
	Do      string `json:"do"`
	SDP     string `json:"sdp"`
	Restart bool   `json:"restart"`
	Text    string `json:"text"`
	Binary  string `json:"binary"`
}

type event map[string]any

var telling sync.Mutex

func tell(what event) {
	telling.Lock()
	defer telling.Unlock()
	line, err := json.Marshal(what)
	if err != nil {
		log.Fatal(err)
	}
	_, _ = os.Stdout.Write(append(line, '\n'))
}

func main() {
	file := flag.String("frames", "", "what is said")
	red := flag.Bool("red", false, "say it with one earlier frame in each packet (RFC 2198)")
	label := flag.String("channel", "oai-events", "label of the data channel; empty for none")
	renominate := flag.Bool("renominate", false, "keep all pairs alive, and go where it is better (as libwebrtc does)")
	flag.Parse()
	frames, err := said.Read(*file)
	if err != nil {
		log.Fatal(err)
	}
	peer, channel, track, err := newPeer(*red, *renominate, *label)
	if err != nil {
		log.Fatal(err)
	}
	go say(track, frames, *red)
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var todo command
		if err := json.Unmarshal(lines.Bytes(), &todo); err != nil {
			log.Fatal(err)
		}
		if err := obey(peer, channel, todo); err != nil {
			tell(event{"event": "error", "what": err.Error()})
		}
	}
	_ = peer.Close()
}

func obey(peer *webrtc.PeerConnection, channel *webrtc.DataChannel, todo command) error {
	switch todo.Do {
	case "offer":
		offer, err := peer.CreateOffer(&webrtc.OfferOptions{ICERestart: todo.Restart})
		if err != nil {
			return err
		}
		gathered := webrtc.GatheringCompletePromise(peer)
		if err := peer.SetLocalDescription(offer); err != nil {
			return err
		}
		<-gathered
		tell(event{"event": "offer", "sdp": peer.LocalDescription().SDP})
	case "answer":
		return peer.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: todo.SDP})
	case "send":
		if todo.Binary == "" {
			return channel.SendText(todo.Text)
		}
		octets, err := base64.StdEncoding.DecodeString(todo.Binary)
		if err != nil {
			return err
		}
		return channel.Send(octets)
	case "pair":
		pair, err := peer.SCTP().Transport().ICETransport().GetSelectedCandidatePair()
		if err != nil {
			return err
		}
		if pair == nil { // between two of them
			tell(event{"event": "pair", "address": "", "port": 0})
			return nil
		}
		tell(event{"event": "pair", "address": pair.Remote.Address, "port": pair.Remote.Port})
	}
	return nil
}

func newPeer(red, renominate bool, label string) (
	*webrtc.PeerConnection, *webrtc.DataChannel, *webrtc.TrackLocalStaticRTP, error,
) {
	feedback := []webrtc.RTCPFeedback{{Type: "nack"}}
	opus := webrtc.RTPCodecCapability{
		MimeType: webrtc.MimeTypeOpus, ClockRate: 48000, Channels: 2,
		SDPFmtpLine: "minptime=10;useinbandfec=1", RTCPFeedback: feedback,
	}
	redundant := webrtc.RTPCodecCapability{
		MimeType: "audio/red", ClockRate: 48000, Channels: 2, SDPFmtpLine: "111/111", RTCPFeedback: feedback,
	}
	media := &webrtc.MediaEngine{}
	codecs := []webrtc.RTPCodecParameters{{RTPCodecCapability: opus, PayloadType: opusType}}
	if red {
		codecs = append([]webrtc.RTPCodecParameters{{RTPCodecCapability: redundant, PayloadType: redType}}, codecs...)
	}
	for _, codec := range codecs {
		if err := media.RegisterCodec(codec, webrtc.RTPCodecTypeAudio); err != nil {
			return nil, nil, nil, err
		}
	}
	interceptors := &interceptor.Registry{}
	asking, err := nack.NewGeneratorInterceptor()
	if err != nil {
		return nil, nil, nil, err
	}
	answering, err := nack.NewResponderInterceptor()
	if err != nil {
		return nil, nil, nil, err
	}
	interceptors.Add(asking)
	interceptors.Add(answering)
	receiving, err := report.NewReceiverInterceptor()
	if err != nil {
		return nil, nil, nil, err
	}
	sending, err := report.NewSenderInterceptor()
	if err != nil {
		return nil, nil, nil, err
	}
	interceptors.Add(receiving)
	interceptors.Add(sending)
	settings := webrtc.SettingEngine{}
	settings.SetIncludeLoopbackCandidate(true)
	if renominate {
		if err := settings.SetICERenomination(webrtc.WithRenominationInterval(time.Second)); err != nil {
			return nil, nil, nil, err
		}
	}
	settings.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeUDP4})
	settings.SetIPFilter(func(address net.IP) bool { return address.IsLoopback() })
	api := webrtc.NewAPI(
		webrtc.WithMediaEngine(media), webrtc.WithInterceptorRegistry(interceptors), webrtc.WithSettingEngine(settings),
	)
	peer, err := api.NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		return nil, nil, nil, err
	}
	spoken := opus
	if red {
		spoken = redundant
	}
	track, err := webrtc.NewTrackLocalStaticRTP(spoken, "audio", "caller")
	if err != nil {
		return nil, nil, nil, err
	}
	sender, err := peer.AddTrack(track)
	if err != nil {
		return nil, nil, nil, err
	}
	go hearReports(sender)
	var channel *webrtc.DataChannel
	if label != "" {
		if channel, err = peer.CreateDataChannel(label, nil); err != nil {
			return nil, nil, nil, err
		}
		channel.OnOpen(func() { tell(event{"event": "open"}) })
		channel.OnClose(func() { tell(event{"event": "closed"}) })
		channel.OnMessage(func(message webrtc.DataChannelMessage) {
			if message.IsString {
				tell(event{"event": "message", "text": string(message.Data)})
			} else {
				tell(event{"event": "message", "binary": base64.StdEncoding.EncodeToString(message.Data)})
			}
		})
	}
	peer.OnConnectionStateChange(func(state webrtc.PeerConnectionState) {
		tell(event{"event": "state", "state": state.String()})
	})
	peer.OnTrack(hear)
	return peer, channel, track, nil
}

// Tells of every packet, as it came.
func hear(track *webrtc.TrackRemote, receiver *webrtc.RTPReceiver) {
	go func() { // RTCP has to be read for the interceptors to see it
		for {
			if _, _, err := receiver.ReadRTCP(); err != nil {
				return
			}
		}
	}()
	for {
		packet, _, err := track.ReadRTP()
		if err != nil {
			return
		}
		tell(event{
			"event": "audio", "type": packet.PayloadType, "sequence": packet.SequenceNumber,
			"timestamp": packet.Timestamp, "payload": base64.StdEncoding.EncodeToString(packet.Payload),
		})
	}
}

// Tells of the server's questions for lost packets, which the responder answers.
func hearReports(sender *webrtc.RTPSender) {
	for {
		packets, _, err := sender.ReadRTCP()
		if err != nil {
			return
		}
		for _, packet := range packets {
			if asked, is := packet.(*rtcp.TransportLayerNack); is {
				tell(event{"event": "asked", "packets": len(asked.Nacks)})
			}
		}
	}
}

func say(track *webrtc.TrackLocalStaticRTP, frames [][]byte, red bool) {
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	var before []byte
	for number := 0; ; number++ {
		<-ticker.C
		frame := frames[number%len(frames)]
		packet := rtp.Packet{
			Header:  rtp.Header{Version: 2, SequenceNumber: uint16(number), Timestamp: uint32(number) * 960},
			Payload: frame,
		}
		if red {
			packet.Payload = redPayload(before, frame)
			before = frame
		}
		if err := track.WriteRTP(&packet); err != nil {
			return
		}
	}
}

// RFC 2198: the earlier frame with its offset and length, then this one.
func redPayload(before, frame []byte) []byte {
	var payload []byte
	if before != nil {
		head := uint32(1<<7|opusType)<<24 | 960<<10 | uint32(len(before))
		payload = binary.BigEndian.AppendUint32(payload, head)
	}
	payload = append(payload, opusType)
	payload = append(payload, before...)
	return append(payload, frame...)
}
