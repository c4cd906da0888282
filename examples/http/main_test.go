package main

import (
	"crypto/rand"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"example.com/tcpnet/examples/internal/program"
)

func TestMain(m *testing.M) { program.Main(m, main) }

func get(t *testing.T, url string) (status int, body string) {
	t.Helper()
	resp, err := (&http.Client{Timeout: 20 * time.Second}).Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

// Three processes share a directory each, and every one shows those of all.
func TestEveryNodeShowsTheDirectoriesOfAll(t *testing.T) {
	name := rand.Text()
	labels := []string{"kitchen", "attic", "garage"}
	var pages []string
	ids := map[string]string{}
	for _, label := range labels {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "a file.txt"), []byte("from the "+label), 0o644); err != nil {
			t.Fatal(err)
		}
		p := program.Start(t, label, "-name", name, "-addr", "127.0.0.1:0", "-label", label, "-dir", dir)
		said := p.Expect(`^(\S+) shares .* see (http://\S+)`)
		ids[label] = said[1]
		pages = append(pages, said[2])
	}
	for _, page := range pages {
		for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
			_, list := get(t, page)
			if n := len(regexp.MustCompile("<li>").FindAllString(list, -1)); n == len(labels) {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("%s shows %s", page, list)
			}
		}
		for _, label := range labels {
			for _, peer := range []string{label, ids[label]} {
				if status, body := get(t, page+peer+"/a%20file.txt"); status != http.StatusOK || body != "from the "+label {
					t.Errorf("%s of %s: %d %q", page, peer, status, body)
				}
			}
		}
		if status, body := get(t, page+"nobody/x"); status != http.StatusNotFound || !strings.Contains(body, "kitchen") {
			t.Errorf("a peer that is not there: %d %q", status, body)
		}
	}
}

func TestItEndsInGoodOrder(t *testing.T) {
	p := program.Start(t, "alone", "-name", rand.Text(), "-addr", "127.0.0.1:0", "-dir", t.TempDir())
	p.Expect("shares")
	p.Interrupt()
}
