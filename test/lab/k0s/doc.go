// Command k0s is the lab's stand-in for k0s.
package main

func main() {}
