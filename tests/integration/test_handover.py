"""Held messages on their way to the Control Center and back: whatever dies on the way, none is lost,
none becomes two, and what is released arrives as it came."""
import json
import os
import random
import signal
import time
import unittest
import uuid

from stack import Stack, unique, wait_until

SIZE = 20 << 20
DOCUMENT = {
    "groups": [],
    "folders": [{"id": "legal", "name": "Legal", "quarantine": True}],
    "filters": [{"id": "held", "name": "Held", "conditions": [
        {"field": "subject", "op": "contains", "values": ["hold this"]}],
        "actions": [{"action": "incident", "folder": "legal"}]}],
}


def message_id():
    """A UUID of version 7, as every message has."""
    value = (int(time.time() * 1000) << 80) | random.getrandbits(80)
    value = value & ~(0xf << 76) & ~(0x3 << 62) | 0x7 << 76 | 0x2 << 62
    return str(uuid.UUID(int=value))


def large_message(mark, size):
    lines = "".join(f"{random.getrandbits(280):070x}\r\n" for _ in range(size // 72))
    return f"Subject: hold this {mark}\r\nMessage-ID: <{mark}@client.test>\r\n\r\n{lines}".encode()


class Handover(unittest.TestCase):
    def setUp(self):
        self.stack = Stack()
        self.addCleanup(self.stack.close)
        self.publish()

    def publish(self):
        text = json.dumps(DOCUMENT).replace("'", "''")
        self.stack.postgres.query(
            "INSERT INTO policy_version (version, document, words, comment, administrator)"
            " SELECT coalesce(max(version), 0) + 1, '" + text + "'::json, '{}', '', 'test'"
            " FROM policy_version")
        self.stack.set_route("example.test")
        reply = self.stack.ask("engine-control", op="reload", force=True)
        self.assertTrue(reply["ok"], reply)

    # --- what is where ---

    def value(self, sql):
        """"" where the database is away just now."""
        try:
            return self.stack.postgres.value(sql) or ""
        except AssertionError:
            return ""

    def number(self, sql):
        return int(self.value(sql) or 0)

    def waiting(self):
        return self.stack.ask("mta", op="handover_list", limit=10, wait_ms=0)["messages"]

    def hold(self, mark, content):
        code, text = self.stack.send(f"{mark}@client.test", ["b@example.test"], content)
        self.assertEqual(code, 250, text)

    def incident(self):
        """The id of the only incident's body, once it is there."""
        with self.stack.logs_of_failure():
            wait_until("the message is an incident",
                       lambda: self.number("SELECT count(*) FROM incident") > 0, 120, 0.2)
        self.assertEqual(self.number("SELECT count(*) FROM incident"), 1)
        return self.value("SELECT handover_id FROM incident")

    def release(self, body):
        """As store_outbox_add does it."""
        mail = message_id()
        self.stack.postgres.query(
            "INSERT INTO outbox (id, sender, recipients, message_id, inbound, reason,"
            f" administrator) VALUES ('{mail}', 'x@client.test', '[\"b@example.test\"]', '{body}',"
            " true, 'incident.approve', 'ada')")
        return mail

    # --- what dies ---

    def kill(self, victim):
        stack = self.stack
        if victim == "controlcenter":
            stack.stop_center(signal.SIGKILL)
            stack.start_center()
        elif victim == "postgres":
            stack.postgres.stop(signal.SIGKILL)
            stack.postgres.start()
        else:
            os.kill(stack.service_pid(victim), signal.SIGKILL)
            if victim == "mta":
                wait_until("the mta answers", lambda: stack.mta_status(), 60)

    def kill_all_while(self, progress, whole):
        """Kills one after the other whenever `progress` has come a step further."""
        victims = ["agent", "mta", "controlcenter", "postgres"]
        for step, victim in enumerate(victims, 1):
            wait_until(f"{step} parts of {len(victims) + 1} are there",
                       lambda: progress() >= step * whole // (len(victims) + 1), 180, 0.01)
            self.kill(victim)

    # --- the tests ---

    def test_a_held_message_becomes_an_incident_and_its_release_arrives_as_it_came(self):
        mark = unique()
        content = large_message(mark, 300000)
        self.hold(mark, content)
        body = self.incident()
        wait_until("the scanner has it no more", lambda: not self.waiting())
        self.assertEqual(self.stack.sink.copy(), [])
        mail = self.release(body)
        with self.stack.logs_of_failure():
            wait_until("the released message arrives", lambda: self.stack.sink.copy(), 60)
        sender, recipients, received = self.stack.sink.copy()[0]
        self.assertEqual((sender, recipients), ("x@client.test", ["b@example.test"]))
        self.assertTrue(received.endswith(content))
        self.assertNotIn(b"Received:", received[:received.index(b"Received:")])
        self.stack.wait_for_empty_queue()
        self.assertEqual(self.value(f"SELECT protocol FROM audit_message WHERE id = '{mail}'"),
                         "internal")
        self.assertEqual(self.value(f"SELECT policy || detail FROM audit_message WHERE id = '{mail}'"),
                         "incident.approveada")
        self.assertEqual(self.number("SELECT count(*) FROM outbox"), 0)

    def test_kill_of_every_process_during_a_transfer_loses_and_doubles_nothing(self):
        mark = unique()
        content = large_message(mark, SIZE)
        chunks = SIZE // (256 << 10)
        self.hold(mark, content)
        self.kill_all_while(lambda: self.number(
            "SELECT greatest((SELECT max(chunks) FROM message_upload),"
            " (SELECT max(chunks) FROM message))"), chunks)
        body = self.incident()
        wait_until("the scanner has it no more", lambda: not self.waiting(), 90)
        self.assertEqual(self.number("SELECT count(*) FROM message_upload"), 0)
        self.assertGreater(self.number(f"SELECT size FROM message WHERE id = '{body}'"), SIZE)
        self.release(body)
        with self.stack.logs_of_failure():
            self.kill_during_release()
            wait_until("the released message arrives", lambda: self.stack.sink.copy(), 180)
        self.assertTrue(self.stack.sink.copy()[0][2].endswith(content))
        wait_until("the outbox is empty", lambda: self.value("SELECT count(*) FROM outbox") == "0",
                   180)
        self.stack.wait_for_empty_queue()
        self.assertEqual(len(self.stack.sink.copy()), 1)
        self.assertEqual(self.number("SELECT count(*) FROM incident"), 1)

    def kill_during_release(self):
        """A mail that was broken off is due again after a while; here it need not be waited for."""
        for victim in ["agent", "mta", "controlcenter", "postgres"]:
            wait_until("the mail is under way", lambda: self.number(
                "SELECT count(*) FROM scanner_request WHERE request LIKE '%submit_data%'") > 0
                or self.stack.sink.copy(), 120, 0.01)
            self.kill(victim)
            wait_until("the mail may be tried again", self.make_due, 60)

    def make_due(self):
        try:
            self.stack.postgres.query("UPDATE outbox SET next_attempt = now()")
        except AssertionError:
            return False
        return True


if __name__ == "__main__":
    unittest.main(verbosity=2)
