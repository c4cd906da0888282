// Package model has the choice between several links (PROTOCOL.md section 5.2) as a
// model for the checker Spin, arbiter.pml, and a test that has it checked. README.md
// says what is covered.
package model
