package hub_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ecovolt/telemetryd/internal/await"
	"github.com/ecovolt/telemetryd/realtime/hub"
)

// memory is a Source whose versions tests set.
type memory struct {
	mu       sync.Mutex
	versions map[string]string
	asked    [][]string
	err      error
}

func (m *memory) Versions(_ context.Context, topics []string) (map[string]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.asked = append(m.asked, slices.Sorted(slices.Values(topics)))
	if m.err != nil {
		return nil, m.err
	}
	out := map[string]string{}
	for _, topic := range topics {
		if v, ok := m.versions[topic]; ok {
			out[topic] = v
		}
	}
	return out, nil
}

func (m *memory) set(topic, version string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.versions[topic] = version
}

func (m *memory) fail(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.err = err
}

func (m *memory) count() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.asked)
}

// run starts a hub that stops, and is waited for, with the test.
func run(t *testing.T, source hub.Source, opt hub.Options) *hub.Hub {
	t.Helper()
	h := hub.New(source, opt)
	ctx, cancel := context.WithCancel(context.Background())
	stopped := make(chan struct{})
	go func() { h.Run(ctx); close(stopped) }()
	t.Cleanup(func() { cancel(); <-stopped })
	return h
}

func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), await.Patience)
	t.Cleanup(cancel)
	return ctx
}

// told collects changes until all the wanted topics were seen.
func told(t *testing.T, sub *hub.Sub, want ...string) {
	t.Helper()
	missing := map[string]bool{}
	for _, topic := range want {
		missing[topic] = true
	}
	deadline := time.After(await.Patience)
	for len(missing) > 0 {
		select {
		case <-sub.C():
		case <-deadline:
			t.Fatalf("never told of %v", missing)
		}
		for _, topic := range sub.Changed() {
			delete(missing, topic)
		}
	}
}

const never = time.Hour

func TestHubTellsOfChanges(t *testing.T) {
	t.Parallel()
	source := &memory{versions: map[string]string{"users": "1"}}
	h := run(t, source, hub.Options{Tick: 2 * time.Millisecond})
	sub := h.Subscribe()
	if err := sub.Watch(within(t), "users", "session:a"); err != nil {
		t.Fatal(err)
	}
	if got := sub.Changed(); got != nil {
		t.Fatalf("changed before any change: %v", got)
	}
	source.set("session:a", "7.1.0")
	told(t, sub, "session:a")
	source.set("users", "2")
	source.set("session:a", "7.2.0")
	told(t, sub, "users", "session:a")
}

// With a tick of an hour only Wake can bring the news.
func TestHubWakesAtOnce(t *testing.T) {
	t.Parallel()
	source := &memory{versions: map[string]string{}}
	h := run(t, source, hub.Options{Tick: never})
	sub := h.Subscribe()
	if err := sub.Watch(within(t), "session:a", "sessions"); err != nil {
		t.Fatal(err)
	}
	source.set("session:a", "1.1.0")
	source.set("sessions", "1.1.1.0")
	h.WakeSessions("a")
	told(t, sub, "session:a", "sessions")

	before := source.count()
	h.Wake("session:of nobody's interest")
	source.set("session:a", "1.2.0")
	h.Wake("session:a")
	told(t, sub, "session:a")
	if polls := source.count() - before; polls != 1 {
		t.Errorf("%d polls, want 1", polls)
	}
}

func TestHubPollsNothingWhenNobodyWatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := &memory{versions: map[string]string{}}
		h := run(t, source, hub.Options{Tick: time.Millisecond})
		h.Wake("users")
		sub := h.Subscribe()
		if n := source.count(); n != 0 {
			t.Fatalf("%d polls before anybody watched", n)
		}
		if err := sub.Watch(within(t), "users", "live"); err != nil {
			t.Fatal(err)
		}
		sub.Set([]string{"live"})
		other := h.Subscribe()
		if err := other.Watch(within(t), "sessions"); err != nil { // a poll that began after Set
			t.Fatal(err)
		}
		source.mu.Lock()
		last := source.asked[len(source.asked)-1]
		source.mu.Unlock()
		if want := []string{"live", "sessions"}; !slices.Equal(last, want) {
			t.Errorf("asked for %v, want %v", last, want)
		}
		other.Close()
		sub.Close()
		sub.Close()
		synctest.Wait() // until the poll under way is over
		settled := source.count()
		time.Sleep(time.Minute)
		if n := source.count() - settled; n > 0 {
			t.Errorf("%d polls after the last subscriber left", n)
		}
		if got := h.Stats(); got.Topics != 0 || got.Subscribers != 0 {
			t.Errorf("left behind: %+v", got)
		}
	})
}

// One query serves all subscribers.
func TestHubQueriesDoNotGrowWithSubscribers(t *testing.T) {
	t.Parallel()
	source := &memory{versions: map[string]string{"session:a": "1.1.0"}}
	h := run(t, source, hub.Options{Tick: never})
	var subs []*hub.Sub
	for range 1000 {
		sub := h.Subscribe()
		if err := sub.Watch(within(t), "session:a"); err != nil {
			t.Fatal(err)
		}
		subs = append(subs, sub)
	}
	before := source.count()
	source.set("session:a", "1.2.0")
	h.Wake("session:a")
	for _, sub := range subs {
		told(t, sub, "session:a")
	}
	if n := source.count() - before; n != 1 {
		t.Errorf("%d polls for 1000 subscribers, want 1", n)
	}
}

func TestHubSurvivesTheDatabase(t *testing.T) {
	t.Parallel()
	source := &memory{versions: map[string]string{"session:a": "1.1.0"}}
	h := run(t, source, hub.Options{Tick: time.Millisecond, MaxBackOff: 4 * time.Millisecond})
	sub := h.Subscribe()
	if err := sub.Watch(within(t), "session:a"); err != nil {
		t.Fatal(err)
	}
	healthy := func(want bool) {
		t.Helper()
		deadline := time.After(await.Patience)
		for {
			if ok, _ := h.Healthy(); ok == want {
				return
			}
			select {
			case <-sub.C():
			case <-deadline:
				t.Fatalf("never told that healthy is %v", want)
			}
		}
	}
	source.fail(errors.New("gone"))
	healthy(false)
	late := h.Subscribe()
	defer late.Close()
	watched := make(chan error, 1)
	go func() { watched <- late.Watch(within(t), "users") }()
	source.set("session:a", "1.9.0") // committed by somebody while we could not look
	source.fail(nil)
	healthy(true)
	told(t, sub, "session:a")
	if err := <-watched; err != nil {
		t.Errorf("a watch begun during the outage: %v", err)
	}
}

func TestWatchEnds(t *testing.T) {
	t.Parallel()
	source := &memory{versions: map[string]string{}, err: errors.New("gone")}
	h := hub.New(source, hub.Options{Tick: time.Millisecond})
	ctx, cancel := context.WithCancel(context.Background())
	stopped := make(chan struct{})
	go func() { h.Run(ctx); close(stopped) }()

	sub := h.Subscribe()
	short, cancelShort := context.WithCancel(context.Background())
	result := make(chan error, 1)
	go func() { result <- sub.Watch(short, "users") }()
	cancelShort()
	if err := <-result; !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled Watch: %v", err)
	}
	other := h.Subscribe()
	go func() { result <- other.Watch(context.Background(), "live") }()
	other.Close()
	if err := <-result; !errors.Is(err, hub.ErrStopped) {
		t.Errorf("Watch of a closed Sub: %v", err)
	}
	go func() { result <- sub.Watch(context.Background(), "sessions") }()
	cancel()
	<-stopped
	if err := <-result; !errors.Is(err, hub.ErrStopped) {
		t.Errorf("Watch of a stopped hub: %v", err)
	}
}

// Subscribers come, go and change their minds while versions move; under the
// race detector this is the test of the locking.
func TestHubUnderChurn(t *testing.T) {
	t.Parallel()
	source := &memory{versions: map[string]string{}}
	h := run(t, source, hub.Options{Tick: time.Millisecond, Gap: time.Microsecond})
	var all sync.WaitGroup
	for i := range 16 {
		all.Go(func() {
			for j := range 50 {
				sub := h.Subscribe()
				name := fmt.Sprintf("session:%d", (i+j)%4)
				if err := sub.Watch(within(t), name, "users"); err != nil {
					t.Error(err)
				}
				source.set(name, fmt.Sprintf("1.%d.%d", i, j))
				h.Wake(name)
				sub.Set([]string{name})
				sub.Changed()
				sub.Close()
			}
		})
	}
	all.Wait()
	if got := h.Stats(); got.Topics != 0 || got.Subscribers != 0 {
		t.Errorf("left behind: %+v", got)
	}
}

// While the hub rests, commits cause no poll; what they changed is found when
// the rest is over, though there is no tick.
func TestRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := &memory{versions: map[string]string{"session:a": "1"}}
		h := hub.New(source, hub.Options{Tick: time.Hour})
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		go h.Run(ctx)
		sub := h.Subscribe()
		defer sub.Close()
		if err := sub.Watch(t.Context(), "session:a"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		h.Rest(80 * time.Millisecond)
		polls := source.count()
		source.set("session:a", "2")
		for range 7 {
			h.Wake("session:a")
			time.Sleep(10 * time.Millisecond)
		}
		synctest.Wait()
		if n := source.count() - polls; n != 0 {
			t.Errorf("%d polls while it rests", n)
		}
		time.Sleep(20 * time.Millisecond)
		synctest.Wait()
		if got := sub.Changed(); len(got) != 1 || source.count() != polls+1 {
			t.Errorf("after the rest: %v changed, %d polls", got, source.count()-polls)
		}
	})
}
