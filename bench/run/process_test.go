package main

import "testing"

func TestParseStatus(t *testing.T) {
	m, err := parseStatus([]byte("Name:\tnode\nVmRSS:\t    5076 kB\nRssAnon:\t    1160 kB\nRssFile:\t  3916 kB\nThreads:\t7\n"))
	if err != nil || m.rssKB != 5076 || m.anonKB != 1160 || m.threads != 7 {
		t.Errorf("got %+v, %v", m, err)
	}
	if _, err := parseStatus([]byte("Name:\tnode\n")); err == nil {
		t.Error("a status without figures gave no error")
	}
}
