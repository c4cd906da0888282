module example.com/tcpnet/bench

go 1.26.0

require (
	example.com/tcpnet v0.0.0-00010101000000-000000000000
	golang.org/x/sys v0.49.0
)

require golang.org/x/net v0.62.0 // indirect

replace example.com/tcpnet => ../
