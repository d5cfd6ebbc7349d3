// Program image-policy says which tag Flux chooses, with Flux's own code for ImagePolicies.
//
// It reads an object from standard input, {"pattern", "extract", "order", "tags"}, as in
// spec.filterTags and spec.policy.numerical of an ImagePolicy, and prints the tag.
//
// Flux keeps this code in an internal package, which only modules below its own path may use: hence
// this module's name.
package main

import (
	"encoding/json"
	"fmt"
	"os"

	imagev1 "github.com/fluxcd/image-reflector-controller/api/v1"
	"github.com/fluxcd/image-reflector-controller/internal/policy"
)

type question struct {
	Pattern string   `json:"pattern"`
	Extract string   `json:"extract"`
	Order   string   `json:"order"`
	Tags    []string `json:"tags"`
}

func main() {
	tag, err := chosen()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(tag)
}

func chosen() (string, error) {
	var asked question
	if err := json.NewDecoder(os.Stdin).Decode(&asked); err != nil {
		return "", err
	}
	filter, err := policy.NewRegexFilter(asked.Pattern, asked.Extract)
	if err != nil {
		return "", err
	}
	choice := imagev1.ImagePolicyChoice{Numerical: &imagev1.NumericalPolicy{Order: asked.Order}}
	policer, err := policy.PolicerFromSpec(choice)
	if err != nil {
		return "", err
	}
	filter.Apply(asked.Tags)
	latest, err := policer.Latest(filter.Items())
	if err != nil {
		return "", err
	}
	return filter.GetOriginalTag(latest), nil
}
