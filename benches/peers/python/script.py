"""What a company would write in place of a portal: for each approved request register a client, let its scopes through at
the gateway, send a mail. Nothing is kept, so that nothing is done again after a crash.

At the command line of the other peers: the addresses as one argument, then tasks as lines, with the number of approvals in
place of the seconds.
"""

import json
import smtplib
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from email.message import EmailMessage
from http.client import HTTPConnection
from urllib.parse import urlsplit

REGISTER, GATEWAY, SECRET, MAIL = sys.argv[1].split()
connections = threading.local()


def call(method, url, body=None, headers={}):
    """Keeps a connection to each server in each thread, as a session of a client library does."""
    url = urlsplit(url)
    known = connections.__dict__.setdefault("to", {})
    connection = known.setdefault(url.netloc, HTTPConnection(url.netloc))
    headers = {"content-type": "application/json", **headers}
    connection.request(method, url.path, json.dumps(body) if body else None, headers)
    answer = connection.getresponse()
    text = answer.read()
    if answer.status >= 300:
        raise RuntimeError(f"{method} {url.geturl()}: {answer.status} {text[:200]}")
    return json.loads(text)


def at_gateway(method, path, body=None):
    return call(method, GATEWAY + path, body, {"x-tyk-authorization": SECRET})


def approve(number):
    client = call("POST", REGISTER, {
        "client_name": f"Checkout {number}",
        "grant_types": ["client_credentials"],
        "scope": "product plan",
    })
    # The policies were made by hand; the script sees to it that the API knows their scopes.
    api = at_gateway("GET", "/tyk/apis/payments")
    if "product" not in api.get("scopes", {}).get("jwt", {}).get("scope_to_policy", {}):
        api["scopes"] = {"jwt": {"scope_claim_name": "scope", "scope_to_policy": {"product": "noop", "plan": "noop"}}}
        at_gateway("PUT", "/tyk/apis/payments", api)
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = "portal@bench.example", "developer@bench.example", "Your access"
    mail.set_content(f"Your client is {client['client_id']}.")
    host, port = MAIL.rsplit(":", 1)
    with smtplib.SMTP(host, int(port)) as smtp:
        smtp.send_message(mail)


def main():
    print(json.dumps({"ready": "a script: register, gateway, mail"}), flush=True)
    for line in sys.stdin:
        _, threads, count = line.split()
        began = time.monotonic()
        try:
            with ThreadPoolExecutor(int(threads)) as pool:
                list(pool.map(approve, range(int(count))))
            print(json.dumps({"rate": int(count) / (time.monotonic() - began)}), flush=True)
        except Exception as error:
            print(json.dumps({"error": f"{type(error).__name__}: {error}"}), flush=True)


main()
