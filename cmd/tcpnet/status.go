package main

import (
	"encoding/json"

	"example.com/tcpnet"
)

// printStatus prints what the node knows on standard error.
func (j *joining) printStatus(node *tcpnet.Node) {
	text, err := json.MarshalIndent(node.Status(), "", "  ")
	if err != nil {
		j.note("status: %v", err)
		return
	}
	j.note("status\n%s", text)
}
