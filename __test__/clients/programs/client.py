"""Python's ssl: what it saw of a server, as JSON. Arguments: port, folder of the identities."""

import http.client
import json
import socket
import ssl
import sys

port, folder = int(sys.argv[1]), sys.argv[2]


def context(version=None, protocols=None, identity=None):
    made = ssl.create_default_context(cafile=f"{folder}/ca.pem")
    if version is not None:
        made.minimum_version = made.maximum_version = version
    if protocols is not None:
        made.set_alpn_protocols(protocols)
    if identity is not None:
        made.load_cert_chain(f"{folder}/{identity}.pem", f"{folder}/{identity}.key")
    return made


def connect(made, session=None):
    raw = socket.create_connection(("localhost", port))
    return made.wrap_socket(raw, server_hostname="localhost", session=session)


def get(connection):
    connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    answer = b""
    while chunk := connection.recv(65536):
        answer += chunk
    # Without close_notify recv() would have raised.
    return json.loads(answer.split(b"\r\n\r\n", 1)[1])


seen = {}
for name, version in (("1.2", ssl.TLSVersion.TLSv1_2), ("1.3", ssl.TLSVersion.TLSv1_3)):
    made = context(version, ["http/1.1"])
    with connect(made) as first:
        seen[name] = [first.version(), first.selected_alpn_protocol(), first.getpeercert()["subject"][0][0][1]]
        get(first)
        session = first.session
    with connect(made, session) as again:
        seen[f"{name} resumed"] = [again.session_reused, get(again)["reused"]]
        # unwrap() sends close_notify and waits for the server's.

with connect(context(identity="client")) as known:
    seen["peer"] = get(known)["peer"]

body = bytes(at * 31 % 251 for at in range(1024 * 1024))
client = http.client.HTTPSConnection("localhost", port, context=context())
for _ in range(3):
    client.request("POST", "/", body)
    seen["echo"] = client.getresponse().read() == body
client.close()
print(json.dumps(seen))
