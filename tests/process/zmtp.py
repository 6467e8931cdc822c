"""As much of ZeroMQ's wire protocol (ZMTP 3.0, NULL mechanism) as a peer of another version needs: a listener that answers every message as a function says."""
import socket
import struct
import threading

GREETING = b"\xff" + b"\0" * 8 + b"\x7f" + b"\x03\x00" + b"NULL".ljust(20, b"\0") + b"\0" + b"\0" * 31
PROTOCOL_AT = 16  # of the header frame: after the segment table and the root pointer; a UInt16


def exactly(connection, size):
    data = b""
    while len(data) < size:
        more = connection.recv(size - len(data))
        if not more:
            raise ConnectionError
        data += more
    return data


def ready(kind):
    name = b"Socket-Type"
    body = b"\x05READY" + bytes([len(name)]) + name + struct.pack(">I", len(kind)) + kind
    return bytes([4, len(body)]) + body


def receive(connection):
    """(is a command, is there more, bytes)"""
    flags = exactly(connection, 1)[0]
    size = struct.unpack(">Q", exactly(connection, 8))[0] if flags & 2 else exactly(connection, 1)[0]
    return bool(flags & 4), bool(flags & 1), exactly(connection, size)


def send(connection, frames):
    for i, frame in enumerate(frames):
        more = 1 if i + 1 < len(frames) else 0
        head = bytes([more, len(frame)]) if len(frame) < 256 else bytes([more | 2]) + struct.pack(">Q", len(frame))
        connection.sendall(head + frame)


def with_protocol(header, version):
    """The header frame of a message as a peer of that protocol version would send it."""
    return header[:PROTOCOL_AT] + struct.pack("<H", version) + header[PROTOCOL_AT + 2:]


class Listener:
    """Answers each message with answer(frames); ends with the program."""

    def __init__(self, answer):
        self.answer = answer
        self.heard = 0
        self.socket = socket.socket()
        self.socket.bind(("127.0.0.1", 0))
        self.socket.listen()
        self.address = f"tcp://127.0.0.1:{self.socket.getsockname()[1]}"
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        try:
            with connection:
                connection.sendall(GREETING)
                exactly(connection, 64)
                connection.sendall(ready(b"ROUTER"))
                frames = []
                while True:
                    command, more, frame = receive(connection)
                    if command:
                        continue
                    frames.append(frame)
                    if not more:
                        self.heard += 1
                        send(connection, self.answer(frames))
                        frames = []
        except OSError:
            pass

    def close(self):
        self.socket.close()
