"""A service manager's side of sd_notify(3): binds a datagram socket and prints each message as a line of JSON."""
import json
import socket
import sys

receiver = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
receiver.bind("\0" + sys.argv[1][1:] if sys.argv[1].startswith("@") else sys.argv[1])
print(json.dumps("bound"), flush=True)
while True:
    print(json.dumps(receiver.recv(4096).decode()), flush=True)
