// Package docs holds the documentation to the code: what can be made of the code is made of it, and what people write
// has to speak of all that there is. `go test ./test/docs -update` writes the made pages anew.
package docs
