package main

import (
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

type arrival struct {
	at        int64
	sequence  uint16
	timestamp uint32
	number    int64
}

// What is gathered while measuring; belongs to the loop's thread.
type window struct {
	frames int
	ticks  int64
	late   []int64 // our own sending clock
	heards map[*call][]arrival
	starts map[*call]uint32 // number of the first frame within the window
	ends   map[*call]uint32
}

func (w *window) sent(late int64) {
	w.frames++
	w.late = append(w.late, late)
}

func (w *window) heard(c *call, what arrival) { w.heards[c] = append(w.heards[c], what) }

// Times in milliseconds.
type figures struct {
	Calls int     `json:"calls"`
	Span  float64 `json:"seconds"`
	Sent  int     `json:"sent"`
	Heard int     `json:"heard"`
	// Of numbered frames sent within the window: how many never came back within a second after it.
	Lost int `json:"lost"`
	// Packets that the server numbered and that never came.
	Gaps    int `json:"gaps"`
	Unsent  int `json:"unsent"`
	Refused int `json:"refused"`
	// Calls that heard nothing.
	Silent int `json:"silent"`
	// By how much packets come off the clock that their timestamps tell, over all calls.
	ClockError spread `json:"clock_error"`
	// From sending a frame to its coming back, and how far off a call's median that is.
	Delay      spread `json:"delay"`
	DelayError spread `json:"delay_error"`
	// Our own clock, and the share of a processor that this program took.
	OwnLateness  spread  `json:"own_lateness"`
	OwnProcessor float64 `json:"own_processor"`
}

type spread struct {
	P50  float64 `json:"p50"`
	P90  float64 `json:"p90"`
	P99  float64 `json:"p99"`
	P999 float64 `json:"p999"`
	Max  float64 `json:"max"`
}

func measure(l *loop, seconds float64) figures {
	w := &window{ticks: int64(l.coding.ticks), heards: map[*call][]arrival{}, starts: map[*call]uint32{}, ends: map[*call]uint32{}}
	var unsent, refused int
	before := processor()
	started := time.Now()
	l.ask(func() {
		for _, c := range l.talking {
			w.starts[c] = c.number
			w.heards[c] = make([]arrival, 0, int(60*(seconds+2)))
			unsent -= c.unsent
			refused -= c.refused
		}
		l.window = w
	})
	time.Sleep(time.Duration(seconds * float64(time.Second)))
	span := time.Since(started).Seconds()
	used := processor() - before
	l.ask(func() {
		for c := range w.starts {
			w.ends[c] = c.number
		}
	})
	var late []int64
	var frames int
	l.ask(func() { late, frames = w.late, w.frames })
	time.Sleep(time.Second) // what is on its way
	result := figures{Span: span, OwnProcessor: used / span}
	l.ask(func() {
		l.window = nil
		for c := range w.starts {
			unsent += c.unsent
			refused += c.refused
		}
	})
	result.Sent, result.Unsent, result.Refused = frames, unsent, refused
	result.OwnLateness = spreadOf(late)
	w.evaluate(&result)
	return result
}

func (w *window) evaluate(into *figures) {
	var clockErrors, delays, delayErrors []int64
	into.Calls = len(w.starts)
	for c, heard := range w.heards {
		into.Heard += len(heard)
		if len(heard) == 0 {
			if c.talks {
				into.Silent++
				into.Lost += int(w.ends[c] - w.starts[c])
			}
			continue
		}
		back := make([]bool, w.ends[c]-w.starts[c])
		sequences := map[uint16]bool{}
		offsets := make([]int64, 0, len(heard))
		taken := make([]int64, 0, len(heard))
		first, last := heard[0].sequence, heard[0].sequence
		for _, one := range heard {
			sequences[one.sequence] = true
			if int16(one.sequence-last) > 0 {
				last = one.sequence
			}
			media := int64(int32(one.timestamp-heard[0].timestamp)) * 1_000_000 / w.ticks
			offsets = append(offsets, one.at-heard[0].at-media)
			if one.number >= 0 {
				if place := uint32(one.number) - w.starts[c]; place < uint32(len(back)) {
					back[place] = true
				}
				if sent := c.sentAt[one.number%remembered]; sent != 0 {
					taken = append(taken, one.at-sent)
				}
			}
		}
		into.Gaps += max(0, int(uint16(last-first))+1-len(sequences))
		clockErrors = append(clockErrors, deviations(offsets)...)
		if len(taken) > 0 {
			delays = append(delays, taken...)
			delayErrors = append(delayErrors, deviations(taken)...)
			for _, came := range back {
				if !came {
					into.Lost++
				}
			}
		}
	}
	into.ClockError = spreadOf(clockErrors)
	into.Delay = spreadOf(delays)
	into.DelayError = spreadOf(delayErrors)
}

// How far each is from the median.
func deviations(values []int64) []int64 {
	sorted := slices.Clone(values)
	slices.Sort(sorted)
	middle := sorted[len(sorted)/2]
	away := make([]int64, len(values))
	for n, value := range values {
		away[n] = max(value-middle, middle-value)
	}
	return away
}

func spreadOf(values []int64) spread {
	if len(values) == 0 {
		return spread{}
	}
	slices.Sort(values)
	at := func(share float64) float64 { return float64(values[int(share*float64(len(values)-1))]) / 1e6 }
	return spread{at(0.5), at(0.9), at(0.99), at(0.999), at(1)}
}

// Seconds of processor time of this program.
func processor() float64 {
	var used unix.Rusage
	_ = unix.Getrusage(unix.RUSAGE_SELF, &used)
	return float64(used.Utime.Nano()+used.Stime.Nano()) / 1e9
}

// --- set-ups -----------------------------------------------------------------------------------------------------------

type placed struct {
	Calls   int      `json:"calls"`
	Failed  int      `json:"failed"`
	Reasons []string `json:"reasons"`
	Span    float64  `json:"seconds"`
	// Milliseconds: the answer; from there to the first check's answer, to the end of DTLS, to the open channel.
	Answer  spread `json:"answer"`
	Checked spread `json:"checked"`
	Secured spread `json:"secured"`
	Open    spread `json:"open"`
	// The calls that were there before.
	Others figures `json:"others"`
}

// Calls that are up, oldest first.
var live struct {
	sync.Mutex
	calls []*call
}

// While they are set up, those that are there already are measured.
func setUp(l *loop, asked request) (result placed) {
	if asked.Watched {
		measured := make(chan figures)
		expected := float64(asked.Count) / asked.Rate
		go func() { measured <- measure(l, expected) }()
		defer func() { result.Others = <-measured }()
	}
	var stages stages
	var waiting sync.WaitGroup
	slots := make(chan struct{}, max(1, asked.Abreast))
	started := time.Now()
	for n := range asked.Count {
		if asked.Rate > 0 {
			time.Sleep(time.Until(started.Add(time.Duration(float64(n) / asked.Rate * 1e9))))
		}
		slots <- struct{}{}
		waiting.Add(1)
		go func() {
			defer waiting.Done()
			c, err := place(l, asked.Server, asked.Channel, asked.Talk)
			<-slots
			stages.note(c, err)
		}()
	}
	waiting.Wait()
	result.Span = time.Since(started).Seconds()
	stages.tell(&result)
	return result
}

type stages struct {
	sync.Mutex
	failed                         int
	reasons                        []string
	answer, checked, secured, open []int64
}

func (s *stages) note(c *call, err error) {
	s.Lock()
	defer s.Unlock()
	if err != nil {
		s.failed++
		if text := err.Error(); len(s.reasons) < 5 && !slices.Contains(s.reasons, text) {
			s.reasons = append(s.reasons, text)
		}
		return
	}
	live.Lock()
	live.calls = append(live.calls, c)
	live.Unlock()
	s.answer = append(s.answer, c.answeredAt-c.offeredAt)
	s.checked = append(s.checked, c.checkedAt-c.answeredAt)
	s.secured = append(s.secured, c.securedAt-c.answeredAt)
	if c.openAt != 0 {
		s.open = append(s.open, c.openAt-c.answeredAt)
	}
}

func (s *stages) tell(result *placed) {
	s.Lock()
	defer s.Unlock()
	result.Calls, result.Failed, result.Reasons = len(s.answer), s.failed, s.reasons
	result.Answer, result.Checked = spreadOf(s.answer), spreadOf(s.checked)
	result.Secured, result.Open = spreadOf(s.secured), spreadOf(s.open)
}

func oldest(count int) []*call {
	live.Lock()
	defer live.Unlock()
	count = min(count, len(live.calls))
	gone := live.calls[:count:count]
	live.calls = slices.Clone(live.calls[count:])
	return gone
}

func hangUp(l *loop, count int) any {
	var waiting sync.WaitGroup
	for _, c := range oldest(count) {
		waiting.Add(1)
		go func() { defer waiting.Done(); c.close(l, server{}) }()
	}
	waiting.Wait()
	posts.CloseIdleConnections()
	return struct{}{}
}

// Keeps about `Count` calls alive for `Seconds` while `Rate` begin and as many end each second.
func churn(l *loop, asked request) placed {
	var result placed
	var stages stages
	var waiting sync.WaitGroup
	started := time.Now()
	for n := 0; time.Since(started).Seconds() < asked.Seconds; n++ {
		time.Sleep(time.Until(started.Add(time.Duration(float64(n) / asked.Rate * 1e9))))
		waiting.Add(1)
		go func() {
			defer waiting.Done()
			stages.note(place(l, asked.Server, asked.Channel, asked.Talk))
			live.Lock()
			over := len(live.calls) - asked.Count
			live.Unlock()
			if over > 0 {
				for _, c := range oldest(over) {
					c.close(l, server{})
				}
			}
		}()
	}
	waiting.Wait()
	result.Span = time.Since(started).Seconds()
	stages.tell(&result)
	return result
}
