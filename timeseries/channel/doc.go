// Package channel is the list of what a car can measure.
package channel
