// The clients' tour and load (../README.md) with go-redis.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// options are the flags and addresses of the command line.
type options struct {
	resp      int
	cluster   bool
	parts     []string
	stopFile  string
	addresses []string
}

func (o *options) has(part string) bool {
	for _, p := range o.parts {
		if p == part {
			return true
		}
	}
	return false
}

// connect makes a client of one node. Nothing is repeated inside the library:
// INCR is counted.
func (o *options) connect(address string) *redis.Client {
	return redis.NewClient(&redis.Options{
		Addr:        address,
		Protocol:    o.resp,
		MaxRetries:  -1,
		DialTimeout: 5 * time.Second,
		ReadTimeout: 20 * time.Second,
	})
}

// connectCluster makes a client that follows CLUSTER SLOTS and MOVED.
func (o *options) connectCluster() *redis.ClusterClient {
	return redis.NewClusterClient(&redis.ClusterOptions{
		Addrs:       o.addresses,
		Protocol:    o.resp,
		ReadTimeout: 20 * time.Second,
	})
}

func die(format string, args ...interface{}) {
	fmt.Printf(format+"\n", args...)
	os.Exit(1)
}

func main() {
	const all = "session,strings,pipeline,scan,expiry,transaction"
	var o options

	if len(os.Args) < 2 {
		die("usage: client tour|load [flags] HOST:PORT...")
	}
	flags := flag.NewFlagSet("client", flag.ExitOnError)
	flags.IntVar(&o.resp, "resp", 2, "protocol version, 2 or 3")
	flags.BoolVar(&o.cluster, "cluster", false, "use the cluster's client")
	parts := flags.String("parts", all, "what to do")
	flags.StringVar(&o.stopFile, "stop", "", "the load ends once it exists")
	if err := flags.Parse(os.Args[2:]); err != nil {
		die("%v", err)
	}
	o.parts = strings.Split(*parts, ",")
	o.addresses = flags.Args()
	if os.Args[1] == "version" {
		fmt.Printf("go-redis %s\n", redis.Version())
		return
	}
	if len(o.addresses) == 0 {
		die("no address")
	}
	ctx := context.Background()
	switch os.Args[1] {
	case "tour":
		runTour(ctx, &o)
	case "load":
		runLoad(ctx, &o)
	default:
		die("no '%s'; there are version, tour and load", os.Args[1])
	}
}
