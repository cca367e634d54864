#!/usr/bin/env python3
"""TLS in front of a server that has none: tls_relay.py PORT TARGET_PORT SERVER_PEM CLIENT_AUTHORITIES READY

Listens on 127.0.0.1:PORT, asks each client for a certificate that CLIENT_AUTHORITIES vouch for, and passes its bytes on to 127.0.0.1:TARGET_PORT. The two
files are read anew for each connection. READY is made when it listens. A client that is refused is closed, and the relay goes on.
"""

import select
import socket
import ssl
import sys
import threading


def pump(secure, server):
    """One thread for both directions: a TLS connection is not for two at once."""
    other = {secure: server, server: secure}
    try:
        while True:
            readable = [secure] if secure.pending() else select.select([secure, server], [], [])[0]
            for end in readable:
                block = end.recv(65536)
                if not block:
                    return
                other[end].sendall(block)
    except OSError:
        pass
    finally:
        secure.close()
        server.close()


def serve(client, target_port, server_file, authorities):
    try:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(server_file)
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(authorities)
        secure = context.wrap_socket(client, server_side=True)
        server = socket.create_connection(("127.0.0.1", target_port))
    except OSError as error:
        print(error, flush=True)
        client.close()
        return
    server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    pump(secure, server)


def main(port, target_port, server_file, authorities, ready):
    listener = socket.create_server(("127.0.0.1", int(port)), backlog=64)
    with open(ready, "w", encoding="utf-8"):
        pass
    while True:
        client = listener.accept()[0]
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        threading.Thread(target=serve, args=(client, int(target_port), server_file, authorities), daemon=True).start()


main(*sys.argv[1:])
