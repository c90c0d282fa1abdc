package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/seed-7a112592/gristmill/internal/test/program"
	"github.com/seed-7a112592/gristmill/pkg/client"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// searchLoad sends searches through the API at a constant rate. Each search starts at its due time,
// even if earlier ones have not been answered. Its latency is measured from its due time.
type searchLoad struct {
	client *client.Client
	stop   context.CancelFunc
	done   sync.WaitGroup

	mu       sync.Mutex
	answered []searchAnswer
	errs     []error
}

type searchAnswer struct {
	due  time.Time
	took time.Duration
}

// search starts a searchLoad with the given number of searches per second.
func (s *installation) search(perSecond int) *searchLoad {
	ctx, stop := context.WithCancel(s.b.ctx)
	l := &searchLoad{client: s.searchClient(), stop: stop}
	s.b.Cleanup(stop)
	l.done.Go(func() {
		begin, every := time.Now(), time.Second/time.Duration(perSecond)
		for i := 0; ; i++ {
			due := begin.Add(time.Duration(i) * every)
			select {
			case <-time.After(time.Until(due)):
			case <-ctx.Done():
				return
			}
			// stopAndWait waits for the searches that are running then.
			l.done.Go(func() { l.searchOnce(s.b.ctx, i, due) })
		}
	})
	return l
}

// searchClient returns a client that keeps its connections open, as a service that searches would.
func (s *installation) searchClient() *client.Client {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = transport.MaxIdleConns
	s.b.Cleanup(transport.CloseIdleConnections)
	c, err := client.New(s.api.URL(), program.APIKey, &http.Client{Transport: transport})
	if err != nil {
		s.b.Fatal(err)
	}
	return c
}

// searchOnce sends search number i.
func (l *searchLoad) searchOnce(ctx context.Context, i int, due time.Time) {
	result, err := l.client.Search(ctx, document.SearchRequest{Query: fmt.Sprintf("How many sacks did lot %d give?", i)})
	took := time.Since(due)
	if err == nil && len(result.Hits) == 0 {
		err = errors.New("the search found nothing")
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		l.errs = append(l.errs, fmt.Errorf("search %d: %w", i, err))
		return
	}
	l.answered = append(l.answered, searchAnswer{due, took})
}

// stopAndWait stops searching and waits for the answers. It returns an error if any search failed.
func (l *searchLoad) stopAndWait() error {
	l.stop()
	l.done.Wait()
	if len(l.errs) > 0 {
		return fmt.Errorf("%d of %d searches failed: %w", len(l.errs), len(l.errs)+len(l.answered), l.errs[0])
	}
	return nil
}

// latenciesBetween returns the latencies of the searches with a due time in the given interval, in
// milliseconds, sorted.
func (l *searchLoad) latenciesBetween(begin, end time.Time) latencies {
	var took latencies
	for _, a := range l.answered {
		if !a.due.Before(begin) && a.due.Before(end) {
			took = append(took, a.took.Seconds()*1000)
		}
	}
	slices.Sort(took)
	return took
}

// latencies are sorted, in milliseconds.
type latencies []float64

// quantile returns the latency that the given share of the searches does not exceed.
func (l latencies) quantile(share float64) float64 {
	if len(l) == 0 {
		return 0
	}
	return l[min(int(share*float64(len(l))), len(l)-1)]
}

func (l latencies) String() string {
	return fmt.Sprintf("p50 %s ms, p99 %s ms, longest %s ms of %d", formatNumber(l.quantile(0.5)), formatNumber(l.quantile(0.99)), formatNumber(l.quantile(1)), len(l))
}
