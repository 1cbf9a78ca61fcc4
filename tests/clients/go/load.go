package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	nWorkers = 4
	loadMax  = 180 * time.Second
)

// fate is what became of a write.
type fate int

const (
	acked fate = iota
	refused
	unknown
	conflict
	nFates
)

type counts [nFates]int64

func (c *counts) add(other counts) {
	for i := range c {
		c[i] += other[i]
	}
}

// load is several clients that write while the cluster is hurt.
type load struct {
	ctx       context.Context
	o         *options
	prefix    string
	end       time.Time
	lock      sync.Mutex
	errors    map[string]int
	nRounds   int
	workers   [nWorkers]worker
	nFinished sync.WaitGroup
}

// worker is one client. Of each key it knows what was acknowledged.
type worker struct {
	load        *load
	number      int
	node        int
	client      redis.UniversalClient
	acked       map[string]string
	own, shared counts
}

// retriable names the error if a program may try again after it.
func retriable(err error) (string, bool) {
	var netErr net.Error
	if errors.As(err, &netErr) && netErr.Timeout() {
		return "timeout", true
	}
	var opErr *net.OpError
	var errno syscall.Errno
	if errors.As(err, &opErr) || errors.As(err, &errno) ||
		errors.Is(err, io.EOF) {
		return "connection", true
	}
	word := strings.SplitN(err.Error(), " ", 2)[0]
	switch word {
	case "CLUSTERDOWN", "TRYAGAIN", "LOADING", "UNKNOWN":
		return word, true
	}
	return "", false
}

func (w *worker) key(name interface{}) string {
	return fmt.Sprintf("%s%d:%v", w.load.prefix, w.number, name)
}

func (l *load) late() bool { return time.Now().After(l.end) }

func (l *load) stopped() bool {
	_, err := os.Stat(l.o.stopFile)
	return err == nil || l.late()
}

// disconnect lets the worker go on at the next address. A cluster's client finds
// its way by itself.
func (w *worker) disconnect() {
	if w.client != nil && !w.load.o.cluster {
		w.client.Close()
		w.client = nil
	}
}

// attempt carries it out once. An error after which a program may not try
// again ends the load.
func (w *worker) attempt(what string, f func(c redis.UniversalClient) error) fate {
	if w.client == nil && w.load.o.cluster {
		w.client = w.load.o.connectCluster()
	} else if w.client == nil {
		w.node = (w.node + 1) % len(w.load.o.addresses)
		w.client = w.load.o.connect(w.load.o.addresses[w.node])
	}
	err := f(w.client)
	if err == nil {
		return acked
	}
	if errors.Is(err, redis.TxFailedErr) {
		return conflict
	}
	name, ok := retriable(err)
	if !ok {
		die("worker %d: %s: %v", w.number, what, err)
	}
	w.load.lock.Lock()
	w.load.errors[name]++
	w.load.lock.Unlock()
	if name == "CLUSTERDOWN" {
		return refused // certainly not done
	}
	if cluster, ok := w.client.(*redis.ClusterClient); ok {
		cluster.ReloadState(w.load.ctx) // by itself only every 10 s
	}
	w.disconnect()
	return unknown
}

// untilAcked is for what may be done twice.
func (w *worker) untilAcked(what string, f func(c redis.UniversalClient) error) {
	for w.attempt(what, f) != acked {
		if w.load.late() {
			die("worker %d: %s is not acknowledged", w.number, what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func (w *worker) setAndGet(i int) {
	ctx := w.load.ctx
	key, value := w.key(i), fmt.Sprintf("value %d of %d", i, w.number)
	ttl := time.Duration(0)
	if w.load.o.has("expiry") && i%2 == 0 {
		ttl = time.Hour
	}
	w.untilAcked("SET", func(c redis.UniversalClient) error {
		return c.Set(ctx, key, value, ttl).Err()
	})
	w.acked[key] = value
	if i%8 == 0 {
		// The next node must show it as well.
		w.disconnect()
		var got string
		w.untilAcked("GET", func(c redis.UniversalClient) error {
			var err error
			got, err = c.Get(ctx, key).Result()
			if err == redis.Nil {
				return nil
			}
			return err
		})
		if got != value {
			die("GET %s: %q, not %q", key, got, value)
		}
	}
}

func (w *worker) countOwn() {
	var n int64
	f := w.attempt("INCR", func(c redis.UniversalClient) error {
		var err error
		n, err = c.Incr(w.load.ctx, w.key("counter")).Result()
		return err
	})
	w.own[f]++
	if f == acked && (n < w.own[acked] || n > w.own[acked]+w.own[unknown]) {
		die("INCR: %d after %v", n, w.own)
	}
}

func (w *worker) countShared() {
	ctx, key := w.load.ctx, w.load.prefix+"shared"
	w.shared[w.attempt("EXEC", func(c redis.UniversalClient) error {
		return c.Watch(ctx, func(tx *redis.Tx) error {
			n, err := tx.Get(ctx, key).Int64()
			if err != nil && err != redis.Nil {
				return err
			}
			_, err = tx.TxPipelined(ctx, func(p redis.Pipeliner) error {
				p.Set(ctx, key, n+1, 0)
				return nil
			})
			return err
		}, key)
	})]++
}

func (w *worker) pipeline(i int) {
	key := func(j int) string { return w.key(fmt.Sprintf("%d-%d", i, j)) }
	w.untilAcked("a pipeline", func(c redis.UniversalClient) error {
		_, err := c.Pipelined(w.load.ctx, func(p redis.Pipeliner) error {
			for j := 0; j < nPipeline; j++ {
				p.Set(w.load.ctx, key(j), fmt.Sprintf("v%d", j), 0)
			}
			return nil
		})
		return err
	})
	for j := 0; j < nPipeline; j++ {
		w.acked[key(j)] = fmt.Sprintf("v%d", j)
	}
}

func (w *worker) run() {
	for i := 0; !w.load.stopped(); i++ {
		w.setAndGet(i)
		// A cluster's client repeats commands by itself: no counting then.
		if !w.load.o.cluster {
			w.countOwn()
		}
		if !w.load.o.cluster && w.load.o.has("transaction") {
			w.countShared()
		}
		if i%200 == 100 {
			w.pipeline(i)
		}
		w.load.progress()
	}
	w.disconnect()
	w.load.nFinished.Done()
}

func (l *load) progress() {
	l.lock.Lock()
	l.nRounds++
	if l.nRounds%100 == 0 {
		fmt.Printf("rounds %d\n", l.nRounds)
	}
	l.lock.Unlock()
}

// within checks a counter on one node.
func (l *load) within(c redis.UniversalClient, key string, n counts) {
	got, err := c.Get(l.ctx, key).Int64()
	if err != nil && err != redis.Nil {
		die("GET %s: %v", key, err)
	}
	if got < n[acked] || got > n[acked]+n[unknown] {
		die("%s is %d after %v", key, got, n)
	}
}

func (l *load) verifyKeys(c redis.UniversalClient, w *worker, name string) {
	var some []string
	check := func() {
		gets, err := c.Pipelined(l.ctx, func(p redis.Pipeliner) error {
			for _, key := range some {
				p.Get(l.ctx, key)
			}
			return nil
		})
		if err != nil {
			die("%s: GET: %v", name, err)
		}
		for i, get := range gets {
			value := get.(*redis.StringCmd).Val()
			if value != w.acked[some[i]] {
				die("%s: acknowledged %s is %q", name, some[i], value)
			}
		}
		some = some[:0]
	}
	for key := range w.acked {
		some = append(some, key)
		if len(some) == 500 {
			check()
		}
	}
	if len(some) > 0 {
		check()
	}
}

func (l *load) verifyOn(c redis.UniversalClient, name string) {
	var shared counts
	for i := range l.workers {
		w := &l.workers[i]
		l.verifyKeys(c, w, name)
		if l.o.has("expiry") && c.PTTL(l.ctx, w.key(0)).Val() <= 0 {
			die("%s: %s lost its expiry", name, w.key(0))
		}
		l.within(c, w.key("counter"), w.own)
		shared.add(w.shared)
	}
	l.within(c, l.prefix+"shared", shared)
	found, err := scanAll(l.ctx, c, l.prefix+"*", 1000)
	if err != nil {
		die("%s: SCAN: %v", name, err)
	}
	for i := range l.workers {
		for key := range l.workers[i].acked {
			if !found[key] {
				die("%s: SCAN misses %s", name, key)
			}
		}
	}
	c.Close()
}

func runLoad(ctx context.Context, o *options) {
	l := &load{ctx: ctx, o: o, prefix: fmt.Sprintf("go%d-load:", o.resp),
		end: time.Now().Add(loadMax), errors: map[string]int{}}
	l.nFinished.Add(nWorkers)
	for i := range l.workers {
		w := &l.workers[i]
		w.load, w.number, w.node = l, i, i
		w.acked = map[string]string{}
		go w.run()
	}
	l.nFinished.Wait()
	if l.late() {
		die("nobody stopped the load")
	}
	if o.cluster {
		l.verifyOn(o.connectCluster(), "the cluster")
	}
	for _, address := range o.addresses {
		if !o.cluster {
			l.verifyOn(o.connect(address), address)
		}
	}
	var own, shared counts
	nKeys := 0
	for i := range l.workers {
		nKeys += len(l.workers[i].acked)
		own.add(l.workers[i].own)
		shared.add(l.workers[i].shared)
	}
	fmt.Printf("load: %d keys, %d INCRs, %d transactions acknowledged and "+
		"found on %d addresses; errors: %v\n", nKeys, own[acked],
		shared[acked], len(o.addresses), l.errors)
}
