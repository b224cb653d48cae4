// Many callers in one process, lighter than what they call: one thread with one epoll loop does all media, so that what
// is measured is the other side. Driven by lines of JSON on standard input; each gets one line of JSON as its answer.
//
// It is honest in three ways: every frame carries its number, and those that never came back are counted; arrival times
// are the kernel's, so this program's own delays are not the server's; and it tells how late its own sending clock was
// and how much of a processor it took, so that a run in which the generator was the bottleneck shows.
package main

import (
	"bufio"
	"encoding/json"
	"log"
	"os"
	"runtime"

	said "voicefleet.dev/tests/clients/pion/frames"
)

// What is asked of the generator.
type request struct {
	Do      string  `json:"do"`
	Server  server  `json:"server"`
	Count   int     `json:"count"`
	Rate    float64 `json:"rate"`    // calls a second; 0 for as fast as `Abreast` allows
	Abreast int     `json:"abreast"` // calls being set up at the same time
	Channel bool    `json:"channel"` // with a data channel
	Watched bool    `json:"watched"` // whether those that are there already are measured meanwhile
	Seconds float64 `json:"seconds"`
	Talk    bool    `json:"talk"`   // whether callers send audio
	Number  bool    `json:"number"` // whether frames carry numbers, for servers that pass them through
	Frames  string  `json:"frames"` // file of frames, each behind its length (16 bits)
	// Frames are G.711 (PCMU) instead of Opus.
	Telephone bool `json:"telephone"`
	// Whether the loop sleeps while it measures: for when a third program shares its processor.
	Naps    bool   `json:"naps"`
	Hop     string `json:"hop"`     // where to speak to as a relay, instead of to each call directly
	Headers string `json:"headers"` // file of hop headers, one for each caller
}

func main() {
	runtime.GOMAXPROCS(4) // on however few processors: set-ups go on beside the loop
	loop, err := newLoop()
	if err != nil {
		log.Fatal(err)
	}
	go loop.run()
	answers := json.NewEncoder(os.Stdout)
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var asked request
		if err := json.Unmarshal(lines.Bytes(), &asked); err != nil {
			log.Fatal(err)
		}
		if err := answers.Encode(obey(loop, asked)); err != nil {
			log.Fatal(err)
		}
	}
}

func obey(loop *loop, asked request) any {
	switch asked.Do {
	case "speak":
		frames, err := said.Read(asked.Frames)
		if err != nil {
			return failure{err.Error()}
		}
		loop.ask(func() { loop.frames, loop.numbered, loop.naps = frames, asked.Number, asked.Naps })
		if asked.Telephone {
			loop.ask(func() { loop.coding = pcmu })
		}
		return struct{}{}
	case "relay":
		trunk, err := newTrunk(asked.Hop, asked.Headers)
		if err != nil {
			return failure{err.Error()}
		}
		loop.ask(func() { err = loop.relay(trunk) })
		if err != nil {
			return failure{err.Error()}
		}
		return struct{}{}
	case "call":
		return setUp(loop, asked)
	case "measure":
		return measure(loop, asked.Seconds)
	case "hang up":
		return hangUp(loop, asked.Count)
	case "churn":
		return churn(loop, asked)
	}
	return failure{"nobody knows how to " + asked.Do}
}

type failure struct {
	Error string `json:"error"`
}
