// Package recipes holds CONTRIBUTING.md to what it says: its test follows every recipe to the letter on a copy of the tree.
package recipes
