package wire

import "net"

// DialOwner is Dial for a socket that must belong to owner.
var DialOwner = dial

// ForUID makes l accept only uid.
func (l *Listener) ForUID(uid uint32) { l.uid = uid }

// OwnForUID is ForUID for what ListenOwn returned.
func OwnForUID(l net.Listener, uid uint32) { l.(own).l.uid = uid }
