// Package architecture holds the rules of the house as tests: which package may import which, and who alone may import
// a library. There is nothing in it to be used.
package architecture
