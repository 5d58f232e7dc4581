// Command podmonitor prints the Prometheus configuration that the Prometheus operator makes of a PodMonitor: the
// operator's own code, without the operator. The PodMonitor comes as YAML on the standard input.
package main

import (
	"fmt"
	"io"
	"os"

	"github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	"github.com/prometheus-operator/prometheus-operator/pkg/assets"
	"github.com/prometheus-operator/prometheus-operator/pkg/prometheus"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

func main() {
	if err := run(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "podmonitor:", err)
		os.Exit(1)
	}
}

func run(in io.Reader, out io.Writer) error {
	text, err := io.ReadAll(in)
	if err != nil {
		return err
	}
	var monitor v1.PodMonitor
	if err := yaml.UnmarshalStrict(text, &monitor); err != nil {
		return err
	}
	server := &v1.Prometheus{
		ObjectMeta: metav1.ObjectMeta{Name: "prometheus", Namespace: "monitoring"},
		Spec: v1.PrometheusSpec{
			CommonPrometheusFields: v1.CommonPrometheusFields{ScrapeInterval: "30s"},
			EvaluationInterval:     "30s",
		},
	}
	generator, err := prometheus.NewConfigGenerator(nil, server)
	if err != nil {
		return err
	}
	monitors := map[string]*v1.PodMonitor{monitor.Namespace + "/" + monitor.Name: &monitor}
	store := assets.NewTestStoreBuilder()
	config, err := generator.GenerateServerConfiguration(server, nil, monitors, nil, nil, store, nil, nil, nil, nil)
	if err != nil {
		return err
	}
	_, err = out.Write(config)
	return err
}
