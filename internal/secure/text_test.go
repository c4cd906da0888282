package secure

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"math/rand/v2"
	"strings"
	"testing"
)

func TestTextOfASecret(t *testing.T) {
	text := NewText()
	secret, err := ParseText(text)
	if err != nil || len(secret) != secretLen {
		t.Fatalf("%d bytes, %v", len(secret), err)
	}
	if again := formatText(secret); again != text {
		t.Errorf("%q became %q", text, again)
	}
	if NewText() == text {
		t.Error("the same secret twice")
	}
	for _, same := range []string{" " + text + "\n", strings.ToUpper(text)} {
		if got, err := ParseText(same); err != nil || !bytes.Equal(got, secret) {
			t.Errorf("%q: %v", same, err)
		}
	}
}

// The form does not change: it stands in files.
func TestTextStaysAsItIs(t *testing.T) {
	const text = "tcpnet-secret-1-aaaqeayeaudaocajbifqydiob4ibceqtcqkrmfyydenbwha5dyp7rmbnp4"
	secret := make([]byte, secretLen)
	for i := range secret {
		secret[i] = byte(i)
	}
	if got := formatText(secret); got != text {
		t.Errorf("%s", got)
	}
	if got, err := ParseText(text); err != nil || !bytes.Equal(got, secret) {
		t.Errorf("%x, %v", got, err)
	}
}

// Whatever one gets wrong in typing is told, and not with the secret.
func TestTyposInASecret(t *testing.T) {
	text := NewText()
	begin := len(textPrefix)
	var wrong []string
	for i := begin; i < len(text); i++ {
		for _, c := range "abcdefghijklmnopqrstuvwxyz234567" {
			if byte(c) != text[i] {
				wrong = append(wrong, text[:i]+string(c)+text[i+1:])
			}
		}
		wrong = append(wrong, text[:i]+"0"+text[i+1:], text[:i]+text[i+1:], text[:i]+"a"+text[i:])
		if i+1 < len(text) && text[i] != text[i+1] {
			wrong = append(wrong, text[:i]+text[i+1:i+2]+text[i:i+1]+text[i+2:])
		}
	}
	for _, w := range wrong {
		_, err := ParseText(w)
		if err == nil {
			t.Errorf("%q is taken for %q", w, text)
		} else if strings.Contains(err.Error(), text[begin:begin+8]) || strings.Contains(err.Error(), text[len(text)-8:]) {
			t.Errorf("the error shows the secret: %v", err)
		}
	}
}

func TestWhatCannotBeASecret(t *testing.T) {
	for what, s := range map[string]string{
		"nothing":              "",
		"a short one":          string(random(15)),
		"a word":               "swordfish",
		"a long word":          "supercalifragilisticexpialidocious",
		"words":                "correct horse battery staple, and some more",
		"words in other signs": "richtiges-Pferd-Batterie-Heftklammer-überall",
		"one sign many times":  strings.Repeat("a", 64),
		"zeros":                strings.Repeat("\x00", 32),
		"a text with a typo":   NewText()[:40],
	} {
		if _, err := CheckSecret([]byte(s)); err == nil {
			t.Errorf("%s: %q is a secret", what, s)
		} else if !strings.Contains(err.Error(), "keygen") && !strings.Contains(err.Error(), "copied whole") {
			t.Errorf("%s: %v", what, err)
		} else if len(s) > 8 && strings.Contains(err.Error(), s) {
			t.Errorf("%s: the error shows it: %v", what, err)
		}
	}
}

func TestWhatCanBeASecret(t *testing.T) {
	text := NewText()
	want, _ := ParseText(text)
	if got, err := CheckSecret([]byte(text)); err != nil || !bytes.Equal(got, want) {
		t.Errorf("its text form: %x, %v", got, err)
	}
	seeded := rand.NewChaCha8([32]byte{1})
	random := func(n int) []byte { b := make([]byte, n); seeded.Read(b); return b }
	for range 1000 {
		for what, s := range map[string][]byte{
			"16 bytes":        random(16),
			"32 bytes":        random(32),
			"in hexadecimal":  []byte(hex.EncodeToString(random(32))),
			"in base64":       []byte(base64.StdEncoding.EncodeToString(random(32))),
			"in base64 (URL)": []byte(base64.RawURLEncoding.EncodeToString(random(32))),
		} {
			if _, err := CheckSecret(s); err != nil {
				t.Errorf("%s: %x: %v", what, s, err)
			}
		}
	}
}

// FuzzSecret reads any text as a secret.
func FuzzSecret(f *testing.F) {
	f.Add([]byte(NewText()))
	f.Add([]byte(textPrefix))
	f.Add([]byte("correct horse battery staple"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if secret, err := ParseText(string(b)); err == nil {
			if len(secret) != secretLen || !strings.EqualFold(formatText(secret), strings.TrimSpace(string(b))) {
				t.Errorf("%q was read as %q", b, formatText(secret))
			}
		}
		if secret, err := CheckSecret(b); err == nil && len(secret) < MinSecret {
			t.Errorf("%x is a secret", secret)
		}
	})
}
