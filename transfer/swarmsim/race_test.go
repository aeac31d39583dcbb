//go:build race

package swarmsim

const raceDetector = true
