package tcpnet_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"example.com/tcpnet"
)

// shows returns in which form text shows a secret, or "".
func shows(text string, key []byte) string {
	for how, s := range map[string]string{
		"as it is":       string(key),
		"in hexadecimal": hex.EncodeToString(key),
		"in HEXADECIMAL": strings.ToUpper(hex.EncodeToString(key)),
		"in base64":      base64.StdEncoding.EncodeToString(key),
		"as numbers":     strings.Trim(fmt.Sprint(key), "[]"),
		"as hex numbers": strings.Trim(fmt.Sprintf("%#v", key), "[]byte{}"),
		"quoted":         strings.Trim(fmt.Sprintf("%q", key), `"`),
	} {
		if strings.Contains(text, s) {
			return how
		}
	}
	return ""
}

// However a Config is printed, its secrets are not.
func TestConfigDoesNotShowItsSecrets(t *testing.T) {
	key := secret(t)
	cfg := tcpnet.Config{Name: "the-name", Label: "the-label", Secrets: [][]byte{key}}
	var log bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&log, nil))
	logger.Info("text", "cfg", cfg, "pointer", &cfg)
	slog.New(slog.NewJSONHandler(&log, nil)).Info("json", "cfg", cfg, "inside", struct{ Cfg tcpnet.Config }{cfg})
	text := log.String()
	for _, format := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "% x"} {
		text += fmt.Sprintf(format+format+format, cfg, &cfg, struct{ Cfg tcpnet.Config }{cfg})
	}
	text += cfg.String() + cfg.GoString() + fmt.Sprintln([]tcpnet.Config{cfg})
	if how := shows(text, key); how != "" {
		t.Errorf("a secret is shown %s:\n%s", how, text)
	}
	if !strings.Contains(cfg.String(), "the-name") || !strings.Contains(cfg.String(), "1, not shown") {
		t.Errorf("%s", cfg)
	}
	//lint:ignore SA1026 that it cannot be encoded is what is tested
	if b, err := json.Marshal(cfg); err == nil {
		t.Errorf("encoded as %s", b)
	}
}

// Nor does anything that a node logs, reports or returns.
func TestNothingShowsTheSecrets(t *testing.T) {
	name := cluster()
	keyA, keyB := secret(t), secret(t)
	var log safeBuffer
	logger := slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	a := join(t, tcpnet.Config{Name: name, Secrets: [][]byte{keyA}, Logger: logger})
	b := join(t, tcpnet.Config{Name: name, Secrets: [][]byte{keyB, keyA}, Logger: logger})
	wait(t, a, 1)
	c := join(t, tcpnet.Config{Name: name, Secrets: [][]byte{secret(t)}, Logger: logger})
	told := rejection(t, c, tcpnet.ErrNoSecret)
	if err := b.SetSecrets(keyB); err != nil {
		t.Fatal(err)
	}
	status, err := json.Marshal([]tcpnet.Status{a.Status(), b.Status(), c.Status()})
	if err != nil {
		t.Fatal(err)
	}
	text := log.String() + string(status) + fmt.Sprintf("%+v %#v %v %+v", told, told, a.Connections(), a.Connections()[0].Peer())
	for _, bad := range [][]byte{keyA[:15], append([]byte("x"), bytes.Repeat(keyA[:2], 3)...)} {
		text += b.SetSecrets(bad).Error()
	}
	_, err = tcpnet.Join(t.Context(), tcpnet.Config{Name: name, Secrets: [][]byte{keyA, keyB[:12]}})
	text += err.Error()
	b.Close()
	text += fmt.Sprintf("%v %+v %#v", b, b, b)
	for _, key := range [][]byte{keyA, keyB, keyA[:15], keyB[:12]} {
		if how := shows(text, key); how != "" {
			t.Errorf("a secret is shown %s", how)
		}
	}
}

func TestJoinRefusesWhatIsNoSecret(t *testing.T) {
	many := make([][]byte, 9)
	for i := range many {
		many[i] = secret(t)
	}
	typo := []byte(tcpnet.NewSecret())
	typo[30] = 'a' + (typo[30]+1-'a')%26
	for want, secrets := range map[string][][]byte{
		"keygen":       {[]byte("correct horse battery staple")},
		"has 15 bytes": {secret(t)[:15]},
		"secret 2":     {secret(t), nil},
		"at most 8":    many,
		"has a typo":   {typo},
	} {
		n, err := tcpnet.Join(context20(t), tcpnet.Config{Name: cluster(), Addr: "127.0.0.1:0", Secrets: secrets})
		if err == nil {
			n.Close()
			t.Errorf("%s: no error", want)
		} else if !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "Config.Secrets") {
			t.Errorf("%v does not say %q", err, want)
		}
	}
}

func TestAnOpenClusterIsWarnedOfOnce(t *testing.T) {
	var open, private safeBuffer
	join(t, tcpnet.Config{Name: cluster(), Logger: slog.New(slog.NewTextHandler(&open, nil))})
	join(t, tcpnet.Config{Name: cluster(), Secrets: [][]byte{secret(t)}, Logger: slog.New(slog.NewTextHandler(&private, nil))})
	if n := strings.Count(open.String(), "level=WARN"); n != 1 || !strings.Contains(open.String(), "Config.Secrets") {
		t.Errorf("%d warnings:\n%s", n, open.String())
	}
	if strings.Contains(private.String(), "level=WARN") {
		t.Errorf("a private cluster warns:\n%s", private.String())
	}
}

func TestParseSecret(t *testing.T) {
	text := tcpnet.NewSecret()
	a, err := tcpnet.ParseSecret(text)
	if err != nil || len(a) != 32 {
		t.Fatalf("%d bytes, %v", len(a), err)
	}
	for _, bad := range []string{"", "hunter2", text[:len(text)-1], strings.Replace(text, "-1-", "-2-", 1)} {
		if _, err := tcpnet.ParseSecret(bad); err == nil {
			t.Errorf("%q is a secret", bad)
		}
	}
	// The text form is as good as the bytes.
	name := cluster()
	n := join(t, tcpnet.Config{Name: name, Secrets: [][]byte{a}})
	join(t, tcpnet.Config{Name: name, Secrets: [][]byte{[]byte(text)}})
	wait(t, n, 1)
}
