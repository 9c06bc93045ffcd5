// Command ordered runs oapi-codegen on an OpenAPI document so that the structs have their fields in the document's order,
// and so the answers too. oapi-codegen sorts them by name unless each property has an x-order, which ordered adds to a copy. What
// says no more of a type than which of its values are taken is left out of the copy, and so are the errors, which are one type.
//
//	ordered [arguments of oapi-codegen] document.yaml
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"

	"gopkg.in/yaml.v3"
)

const codegen = "github.com/oapi-codegen/oapi-codegen/v2/cmd/oapi-codegen@v2.8.2"

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "ordered:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) == 0 {
		return errors.New("name a document")
	}
	path := args[len(args)-1]
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var document yaml.Node
	if err := yaml.Unmarshal(text, &document); err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	prune(&document)
	number(&document)
	if text, err = yaml.Marshal(&document); err != nil {
		return fmt.Errorf("write a copy of %s: %w", path, err)
	}
	dir, err := os.MkdirTemp("", "ordered")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	ordered := filepath.Join(dir, filepath.Base(path))
	if err := os.WriteFile(ordered, text, 0o600); err != nil {
		return err
	}
	cmd := exec.CommandContext(context.Background(), "go", append(append([]string{"run", codegen}, args[:len(args)-1]...), ordered)...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("oapi-codegen: %w", err)
	}
	return nil
}

// number gives every property below n its place among its siblings.
func number(n *yaml.Node) {
	for i, child := range n.Content {
		number(child)
		if n.Kind != yaml.MappingNode || i%2 == 0 || n.Content[i-1].Value != "properties" || child.Kind != yaml.MappingNode {
			continue
		}
		for j := 1; j < len(child.Content); j += 2 {
			property := child.Content[j]
			if property.Kind != yaml.MappingNode {
				continue
			}
			property.Content = append(property.Content,
				&yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: "x-order"},
				&yaml.Node{Kind: yaml.ScalarNode, Tag: "!!int", Value: strconv.Itoa(j / 2)})
		}
	}
}

// prune leaves out choices between forms of an object whose properties are all listed, and statuses of errors.
func prune(n *yaml.Node) {
	if n.Kind == yaml.MappingNode {
		has := map[string]bool{}
		for i := 0; i < len(n.Content); i += 2 {
			has[n.Content[i].Value] = true
		}
		var kept []*yaml.Node
		for i := 0; i < len(n.Content); i += 2 {
			name := n.Content[i].Value
			form := has["properties"] && (name == "oneOf" || name == "anyOf" || name == "not")
			status := has["default"] && len(name) == 3 && (name[0] == '4' || name[0] == '5')
			if !form && !status {
				kept = append(kept, n.Content[i], n.Content[i+1])
			}
		}
		n.Content = kept
	}
	for _, child := range n.Content {
		prune(child)
	}
}
