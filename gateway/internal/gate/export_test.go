package gate

// ForLate is the rule for late messages, for its property.
var ForLate = forLate
