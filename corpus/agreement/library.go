package main

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"crypto/rand"
	"crypto/rsa"
	"encoding/gob"
	"encoding/json"
	"math/big"
	"regexp"
	"strings"
	"text/template"
	"time"
)

// What the standard library builds when it is used as programs use it.
var (
	expressions []*regexp.Regexp
	templates   []*template.Template
	decoded     any
	typed       []document
	numbers     []*big.Int
	writers     []*gzip.Writer
	scanner     *bufio.Scanner
	key         *rsa.PrivateKey
	location    *time.Location
)

type document struct {
	Name string            `json:"name"`
	Tags map[string]string `json:"tags"`
	Next *document         `json:"next"`
	When time.Time         `json:"when"`
	Raw  json.RawMessage   `json:"raw"`
}

func init() {
	register("library", func() {
		for _, e := range []string{`a+b*`, `(\w+)@(\w+)\.com`, `^(?:x|y|[0-9]{1,5})+$`} {
			r := regexp.MustCompile(e)
			r.FindAllString(strings.Repeat("bob@example.com ", 20), -1)
			expressions = append(expressions, r)
		}
		t := template.Must(template.New("t").Parse(`{{range .}}{{.Name | printf "%q"}} {{with .Tags}}{{len .}}{{end}}{{end}}`))
		templates = append(templates, t)
		input := `{"name": "a", "tags": {"x": "y"}, "next": {"name": "b", "when": "2020-01-02T03:04:05Z"}, "raw": [1, 2, {"z": null}]}`
		json.Unmarshal([]byte(input), &decoded)
		for i := 0; i < 50; i++ {
			var d document
			json.Unmarshal([]byte(input), &d)
			typed = append(typed, d)
		}
		var out bytes.Buffer
		t.Execute(&out, typed)
		gob.NewEncoder(&out).Encode(typed)
		n := big.NewInt(1)
		for i := int64(1); i < 300; i++ {
			n = new(big.Int).Mul(n, big.NewInt(i))
			numbers = append(numbers, n)
		}
		w := gzip.NewWriter(&out)
		w.Write(make([]byte, 100000))
		writers = append(writers, w)
		scanner = bufio.NewScanner(&out)
		scanner.Scan()
		key, _ = rsa.GenerateKey(rand.Reader, 1024)
		location = time.FixedZone(text(1), 3600)
	})
}
