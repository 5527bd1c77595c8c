// Go's crypto/tls and net/http: what they saw of a server, as JSON.
// Arguments: port of HTTP/2 and HTTP/1.1, folder of the identities.
package main

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"sync"
)

var address, folder = "localhost:" + os.Args[1], os.Args[2]

func main() {
	seen := map[string]any{}
	for name, version := range map[string]uint16{"1.2": tls.VersionTLS12, "1.3": tls.VersionTLS13} {
		config := configuration()
		config.MinVersion, config.MaxVersion = version, version
		config.NextProtos = []string{"http/1.1"}
		config.ClientSessionCache = tls.NewLRUClientSessionCache(0)
		var states []bool
		for attempt := 0; attempt < 2; attempt++ {
			connection := must(tls.Dial("tcp", address, config))
			state := connection.ConnectionState()
			seen[name] = []any{state.Version == version, state.NegotiatedProtocol}
			states = append(states, state.DidResume)
			fmt.Fprint(connection, "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
			// Fails where the end is no close_notify; reads the tickets on the way.
			must(io.ReadAll(connection))
			connection.Close()
		}
		seen[name+" resumed"] = states
	}

	body := bytes.Repeat([]byte("offloop "), 128*1024)
	for _, h2 := range []bool{false, true} {
		config := configuration()
		config.Certificates = []tls.Certificate{must(tls.LoadX509KeyPair(file("client.pem"), file("client.key")))}
		client := &http.Client{Transport: &http.Transport{TLSClientConfig: config, ForceAttemptHTTP2: h2}}
		response := must(client.Get("https://" + address + "/"))
		var told map[string]any
		check(json.Unmarshal(must(io.ReadAll(response.Body)), &told))
		seen[response.Proto] = []any{told["version"], told["peer"]}

		var streams sync.WaitGroup
		echoes := make([]bool, 10)
		for at := range echoes {
			streams.Add(1)
			go func(echo *bool) {
				defer streams.Done()
				response := must(client.Post("https://"+address+"/", "", bytes.NewReader(body)))
				*echo = bytes.Equal(must(io.ReadAll(response.Body)), body)
			}(&echoes[at])
		}
		streams.Wait()
		seen[response.Proto+" echoes"] = echoes
		client.CloseIdleConnections()
	}
	check(json.NewEncoder(os.Stdout).Encode(seen))
}

func configuration() *tls.Config {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(must(os.ReadFile(file("ca.pem"))))
	return &tls.Config{RootCAs: roots}
}

func file(name string) string {
	return filepath.Join(folder, name)
}

func must[T any](value T, err error) T {
	check(err)
	return value
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
