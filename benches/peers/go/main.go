// What a scanner written with Go's crypto/tls costs: a full handshake with each address, no verification,
// the leaf's SHA-256, one line of JSON each. It closes with a reset and sends no farewell, like its peers.
//
//	standin FIRST PORT COUNT IN_FLIGHT
package main

import (
	"bufio"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"net"
	"net/netip"
	"os"
	"strconv"
	"sync"
	"time"
)

type line struct {
	Address string   `json:"address"`
	Subject string   `json:"subject"`
	Names   []string `json:"names"`
	Until   string   `json:"until"`
	SHA256  string   `json:"sha256"`
	Chain   int      `json:"chain"`
}

func ask(address string) (line, bool) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	var dialer net.Dialer
	raw, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return line{}, false
	}
	defer raw.Close()
	raw.(*net.TCPConn).SetLinger(0)
	conn := tls.Client(raw, &tls.Config{InsecureSkipVerify: true})
	if conn.HandshakeContext(ctx) != nil {
		return line{}, false
	}
	chain := conn.ConnectionState().PeerCertificates
	leaf, sum := chain[0], sha256.Sum256(chain[0].Raw)
	return line{address, leaf.Subject.String(), leaf.DNSNames, leaf.NotAfter.String(), hex.EncodeToString(sum[:]), len(chain)}, true
}

func main() {
	first, _ := netip.ParseAddr(os.Args[1])
	count, _ := strconv.Atoi(os.Args[3])
	workers, _ := strconv.Atoi(os.Args[4])
	addresses := make(chan string, workers)
	lines := make(chan line, workers)
	var group sync.WaitGroup
	for n := 0; n < workers; n++ {
		group.Add(1)
		go func() {
			defer group.Done()
			for address := range addresses {
				if found, ok := ask(address); ok {
					lines <- found
				}
			}
		}()
	}
	go func() {
		for n := 0; n < count; n, first = n+1, first.Next() {
			addresses <- net.JoinHostPort(first.String(), os.Args[2])
		}
		close(addresses)
		group.Wait()
		close(lines)
	}()
	out := bufio.NewWriter(os.Stdout)
	encoder, answered := json.NewEncoder(out), 0
	for found := range lines {
		encoder.Encode(found)
		answered++
	}
	encoder.Encode(map[string]int{"count": count, "answered": answered})
	out.Flush()
}
