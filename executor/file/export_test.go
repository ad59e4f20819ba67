package file

// Publish is the step of a create that a race could reach, for its test.
var Publish = publish
