package main

import (
	"bytes"
	"context"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"example.com/tcpnet"
	"example.com/tcpnet/discovery"
)

// object is the part of a Kubernetes object that has to fit the others.
type object struct {
	Kind     string
	Metadata struct{ Name string }
	Spec     struct {
		ClusterIP string `yaml:"clusterIP"`
		Selector  yaml.Node
		Ports     []struct {
			Name string
			Port int
		}
		Template struct {
			Metadata struct{ Labels map[string]string }
			Spec     struct {
				Containers []struct {
					Env   []struct{ Name, Value string }
					Ports []struct {
						ContainerPort int `yaml:"containerPort"`
					}
				}
			}
		}
	}
}

func TestTheKubernetesObjectsFitTogether(t *testing.T) {
	text, err := os.ReadFile("kubernetes.yaml")
	if err != nil {
		t.Fatal(err)
	}
	objects := map[string]object{}
	for d := yaml.NewDecoder(bytes.NewReader(text)); ; {
		var o object
		if err := d.Decode(&o); err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		objects[o.Kind] = o
	}
	service, pods := objects["Service"], objects["Deployment"].Spec.Template
	if service.Spec.ClusterIP != "None" {
		t.Error("the service is not headless")
	}
	var selector map[string]string
	if err := service.Spec.Selector.Decode(&selector); err != nil || len(selector) == 0 {
		t.Fatalf("selector %v, %v", selector, err)
	}
	for k, v := range selector {
		if pods.Metadata.Labels[k] != v {
			t.Errorf("the service selects %s=%s, the pods have %q", k, v, pods.Metadata.Labels[k])
		}
	}
	if len(service.Spec.Ports) != 1 || service.Spec.Ports[0].Name != "tcpnet" {
		t.Fatalf("ports %+v, want one that is called tcpnet", service.Spec.Ports)
	}
	env := map[string]string{}
	for _, e := range pods.Spec.Containers[0].Env {
		env[e.Name] = e.Value
	}
	port := service.Spec.Ports[0].Port
	if env["LISTEN"] != ":"+strconv.Itoa(port) || pods.Spec.Containers[0].Ports[0].ContainerPort != port {
		t.Errorf("the pods listen at %s, the service tells of %d", env["LISTEN"], port)
	}
	if env["DNS"] != service.Metadata.Name || env["CLUSTER"] == "" {
		t.Errorf("the pods look for %q, the service is %q", env["DNS"], service.Metadata.Name)
	}
}

func TestTheComposeFileFits(t *testing.T) {
	text, err := os.ReadFile("compose.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Services map[string]struct{ Environment map[string]string }
	}
	if err := yaml.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	for name, s := range file.Services {
		if want := name + s.Environment["LISTEN"]; s.Environment["DNS"] != want {
			t.Errorf("the containers look for %q, want %q", s.Environment["DNS"], want)
		}
	}
	if len(file.Services) != 1 {
		t.Errorf("%d services", len(file.Services))
	}
}

// The program meets others and leaves in good order.
func TestTheProgramRuns(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	secret := tcpnet.NewSecret()
	name := "containers" + strconv.Itoa(os.Getpid())
	other, err := tcpnet.Join(ctx, tcpnet.Config{Name: name, Addr: "127.0.0.1:0", Discovery: []discovery.Discoverer{}, Secrets: [][]byte{[]byte(secret)}})
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	running, stop := context.WithCancel(ctx)
	defer stop()
	done := make(chan error)
	go func() {
		done <- run(running, func(key string) string {
			return map[string]string{"CLUSTER": name, "LISTEN": "127.0.0.1:0", "SEED": other.Addrs()[0].String(), "TCPNET_SECRET": secret}[key]
		})
	}()
	c, err := other.Accept(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	stop()
	<-c.Context().Done()
	if cause := context.Cause(c.Context()); cause != tcpnet.ErrLeft {
		t.Error(cause)
	}
	c.Close()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestTheProgramSaysWhatIsWrong(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for want, env := range map[string]map[string]string{
		"Config.Name is empty":   {},
		"address already in use": {"CLUSTER": "x", "LISTEN": taken.Addr().String()},
		`DNS name "a..b"`:        {"CLUSTER": "x", "LISTEN": "127.0.0.1:0", "DNS": "a..b"},
	} {
		err := run(t.Context(), func(key string) string { return env[key] })
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v, want %q", env, err, want)
		}
	}
}
