module example.com/tcpnet/examples/containers

go 1.26.0

require example.com/tcpnet v0.0.0-00010101000000-000000000000

require (
	go.yaml.in/yaml/v3 v3.0.6
	golang.org/x/net v0.62.0 // indirect
	golang.org/x/sys v0.49.0 // indirect
)

replace example.com/tcpnet => ../..
