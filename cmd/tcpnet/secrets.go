package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"example.com/tcpnet"
)

// secretVariable is the environment variable with the secret, for want of a file.
const secretVariable = "TCPNET_SECRET"

// maxSecretFile is how much of a file is read, at the most.
const maxSecretFile = 4096

// readSecrets returns the secrets in the files, or those in the environment if there is
// no file, or none. An error never shows any of them.
func readSecrets(files []string, force bool) ([][]byte, error) {
	if len(files) == 0 {
		text, set := os.LookupEnv(secretVariable)
		if !set {
			return nil, nil
		}
		secrets, err := parseSecrets(text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", secretVariable, err)
		}
		return secrets, nil
	}
	var all [][]byte
	for _, path := range files {
		secrets, err := readSecretFile(path, force)
		if err != nil {
			return nil, err
		}
		all = append(all, secrets...)
	}
	return all, nil
}

func readSecretFile(path string, force bool) ([][]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("--secret-file: %w", err)
	}
	defer f.Close()
	// Of the file that is open, not of one that has taken its place.
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("--secret-file: %w", err)
	}
	if othersCanRead(info) && !force {
		return nil, fmt.Errorf("--secret-file %s: others can read it (%v): chmod 600 it, and make a new secret if somebody may have (or give --insecure-secret-file)", path, info.Mode().Perm())
	}
	text, err := io.ReadAll(io.LimitReader(f, maxSecretFile))
	if err != nil {
		return nil, fmt.Errorf("--secret-file: %w", err)
	}
	secrets, err := parseSecrets(string(text))
	if err != nil {
		return nil, fmt.Errorf("--secret-file %s: %w", path, err)
	}
	return secrets, nil
}

// parseSecrets reads one secret or several with space between them.
func parseSecrets(text string) (all [][]byte, err error) {
	for word := range strings.FieldsSeq(text) {
		b, err := tcpnet.ParseSecret(word)
		if err != nil {
			return nil, errors.New(strings.TrimPrefix(err.Error(), "tcpnet: "))
		}
		all = append(all, b)
	}
	if len(all) == 0 {
		return nil, errors.New("it is empty: make a secret with tcpnet keygen")
	}
	return all, nil
}
