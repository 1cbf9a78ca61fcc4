package main

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	nPipeline = 1000
	pollMax   = 30 * time.Second
)

// tour does each thing a program does, on a server that nobody else uses.
type tour struct {
	ctx           context.Context
	client, other redis.UniversalClient
	prefix        string
	nChecks       int
}

func (t *tour) check(got, want interface{}, what string) {
	t.nChecks++
	if !reflect.DeepEqual(got, want) {
		die("%s: %#v, not %#v", what, got, want)
	}
}

func (t *tour) key(name interface{}) string {
	return fmt.Sprintf("%s%v", t.prefix, name)
}

// failed checks that err holds the words.
func (t *tour) failed(err error, words, what string) {
	t.check(err != nil && strings.Contains(err.Error(), words), true,
		fmt.Sprintf("%s: %v", what, err))
}

// ok checks that there is no error.
func (t *tour) ok(err error, what string) {
	t.check(err, nil, what)
}

func (t *tour) session() {
	c := t.client
	t.check(c.Ping(t.ctx).Val(), "PONG", "PING")
	t.check(c.Echo(t.ctx, "x").Val(), "x", "ECHO")
	t.check(c.DBSize(t.ctx).Val() >= 0, true, "DBSIZE")
	info, err := c.Info(t.ctx, "server").Result()
	t.ok(err, "INFO server")
	t.check(strings.Contains(info, "redis_version"), true, "INFO server")
	commands, err := c.Command(t.ctx).Result()
	t.ok(err, "COMMAND")
	t.check(commands["get"] != nil && commands["get"].FirstKeyPos == 1, true,
		"COMMAND")
	_, err = c.Time(t.ctx).Result()
	t.ok(err, "TIME")
}

func (t *tour) strings() {
	c, key := t.client, t.key("string")
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	value := string(all) + "\r\n"
	t.check(c.Get(t.ctx, key).Err(), redis.Nil, "GET of nothing")
	t.check(c.Set(t.ctx, key, value, 0).Val(), "OK", "SET")
	t.check(c.Get(t.ctx, key).Val(), value, "GET")
	t.check(c.SetNX(t.ctx, key, "x", 0).Val(), false, "SET NX")
	t.check(c.SetArgs(t.ctx, key, "y", redis.SetArgs{Mode: "XX", Get: true}).
		Val(), value, "SET XX GET")
	t.check(c.Append(t.ctx, key, "z").Val(), int64(2), "APPEND")
	t.check(c.GetRange(t.ctx, key, 0, -1).Val(), "yz", "GETRANGE")
	t.check(c.Exists(t.ctx, key).Val(), int64(1), "EXISTS")
	t.check(c.IncrBy(t.ctx, t.key("n"), 5).Val(), int64(5), "INCRBY")
	t.check(c.Decr(t.ctx, t.key("n")).Val(), int64(4), "DECR")
	t.check(c.IncrByFloat(t.ctx, t.key("f"), 1.5).Val(), 1.5, "INCRBYFLOAT")
	t.failed(c.Incr(t.ctx, key).Err(), "not an integer", "INCR of a text")
	t.failed(c.Do(t.ctx, "NOSUCH").Err(), "unknown command", "NOSUCH")
	for _, name := range []string{"string", "n", "f"} {
		t.check(c.Del(t.ctx, t.key(name)).Val(), int64(1), "DEL")
	}
}

func (t *tour) expiry() {
	c, key := t.client, t.key("expiry")
	t.ok(c.Set(t.ctx, key, "v", time.Minute).Err(), "SET EX")
	left := c.PTTL(t.ctx, key).Val()
	t.check(left > 0 && left <= time.Minute, true, "PTTL")
	t.check(c.Persist(t.ctx, key).Val(), true, "PERSIST")
	t.check(c.TTL(t.ctx, key).Val(), time.Duration(-1), "TTL without expiry")
	t.check(c.Expire(t.ctx, key, 100*time.Second).Val(), true, "EXPIRE")
	left = c.TTL(t.ctx, key).Val()
	t.check(left > 0 && left <= 100*time.Second, true, "TTL")
	t.check(c.GetEx(t.ctx, key, 20*time.Millisecond).Val(), "v", "GETEX PX")
	end := time.Now().Add(pollMax)
	for c.Get(t.ctx, key).Err() != redis.Nil {
		if time.Now().After(end) {
			die("a key of 20 ms does not expire")
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.check(c.TTL(t.ctx, key).Val(), time.Duration(-2), "TTL of nothing")
}

func (t *tour) transaction() {
	key := t.key("tx")
	t.ok(t.client.Set(t.ctx, key, 1, 0).Err(), "SET")
	var sum *redis.IntCmd
	err := t.client.Watch(t.ctx, func(tx *redis.Tx) error {
		n, err := tx.Get(t.ctx, key).Int()
		if err != nil {
			return err
		}
		_, err = tx.TxPipelined(t.ctx, func(p redis.Pipeliner) error {
			p.Set(t.ctx, key, n+1, 0)
			sum = p.Incr(t.ctx, key)
			return nil
		})
		return err
	}, key)
	t.ok(err, "EXEC")
	t.check(sum.Val(), int64(3), "INCR inside EXEC")

	err = t.client.Watch(t.ctx, func(tx *redis.Tx) error {
		// Another client, through another node where there is one.
		t.ok(t.other.Set(t.ctx, key, 10, 0).Err(), "SET by another")
		_, err := tx.TxPipelined(t.ctx, func(p redis.Pipeliner) error {
			p.Set(t.ctx, key, 4, 0)
			return nil
		})
		return err
	}, key)
	t.check(errors.Is(err, redis.TxFailedErr), true, "EXEC after a change")
	t.check(t.client.Get(t.ctx, key).Val(), "10",
		"GET after EXEC that failed")

	var text *redis.StringCmd
	_, err = t.client.TxPipelined(t.ctx, func(p redis.Pipeliner) error {
		p.Set(t.ctx, key, "text", 0)
		p.Incr(t.ctx, key)
		text = p.Get(t.ctx, key)
		return nil
	})
	t.failed(err, "not an integer", "an error inside EXEC")
	t.check(text.Val(), "text", "GET inside EXEC")
	t.check(t.client.Del(t.ctx, key).Val(), int64(1), "DEL")
}

func (t *tour) pipeline() {
	sets, err := t.client.Pipelined(t.ctx, func(p redis.Pipeliner) error {
		for i := 0; i < nPipeline; i++ {
			p.Set(t.ctx, t.key(fmt.Sprintf("p%d", i)),
				fmt.Sprintf("value %d", i), 0)
		}
		return nil
	})
	t.ok(err, "1,000 SETs")
	t.check(len(sets), nPipeline, "1,000 SETs")
	gets, err := t.client.Pipelined(t.ctx, func(p redis.Pipeliner) error {
		for i := 0; i < nPipeline; i++ {
			p.Get(t.ctx, t.key(fmt.Sprintf("p%d", i)))
		}
		return nil
	})
	t.ok(err, "1,000 GETs")
	for i, get := range gets {
		t.check(get.(*redis.StringCmd).Val(), fmt.Sprintf("value %d", i),
			"GET in a pipeline")
	}
}

// scanAll gathers what SCAN gives, of every master where there are several.
func scanAll(ctx context.Context, client redis.UniversalClient, match string,
	count int64) (map[string]bool, error) {
	found := map[string]bool{}
	one := func(ctx context.Context, c *redis.Client) error {
		keys := c.Scan(ctx, 0, match, count).Iterator()
		for keys.Next(ctx) {
			found[keys.Val()] = true
		}
		return keys.Err()
	}
	var err error
	switch c := client.(type) {
	case *redis.ClusterClient:
		err = c.ForEachMaster(ctx, one)
	case *redis.Client:
		err = one(ctx, c)
	}
	return found, err
}

func (t *tour) scanned(match string) map[string]bool {
	found, err := scanAll(t.ctx, t.client, match, 97)
	t.ok(err, "SCAN")
	return found
}

func (t *tour) scan() {
	want := map[string]bool{}
	for i := 0; i < nPipeline; i++ {
		want[t.key(fmt.Sprintf("p%d", i))] = true
	}
	t.check(t.scanned(t.key("p*")), want, "SCAN MATCH COUNT")
	t.check(len(t.scanned(t.key("none*"))), 0, "SCAN of nothing")
	_, err := t.client.Pipelined(t.ctx, func(p redis.Pipeliner) error {
		for key := range want {
			p.Del(t.ctx, key)
		}
		return nil
	})
	t.ok(err, "DEL of 1,000")
	t.check(len(t.scanned(t.key("p*"))), 0, "SCAN after DEL")
}

func runTour(ctx context.Context, o *options) {
	t := &tour{ctx: ctx, prefix: fmt.Sprintf("go%d:", o.resp)}
	if o.cluster {
		t.client = o.connectCluster()
		t.other = t.client
	} else {
		t.client = o.connect(o.addresses[0])
		t.other = o.connect(o.addresses[len(o.addresses)-1])
	}
	for _, part := range o.parts {
		switch part {
		case "session":
			t.session()
		case "strings":
			t.strings()
		case "expiry":
			t.expiry()
		case "transaction":
			t.transaction()
		case "pipeline":
			t.pipeline()
		case "scan":
			t.scan()
		default:
			die("no part '%s'", part)
		}
	}
	fmt.Printf("tour: %d checks\n", t.nChecks)
}
