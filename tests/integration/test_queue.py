"""What administrators do to queued mail, as the next hops and the audit log see it."""
import json
import os
import signal
import socket
import threading
import time
import unittest

from stack import Sink, Stack, free_ports, unique, wait_until

RETRY_SECONDS = 3600  # nothing is tried again by itself


class Sink6(Sink):
    """The same at ::1."""

    def __init__(self):
        super().__init__()
        super().close()
        self.socket = socket.create_server(("::1", 0), family=socket.AF_INET6, backlog=200)
        self.port = self.socket.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()


class Queue(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.stack = Stack()
        cls.addClassCleanup(cls.stack.close)
        cls.away = free_ports(1)[0]
        cls.routes = {}
        cls.set_smtp(("delivery", "retry_seconds"), [RETRY_SECONDS])

    @classmethod
    def set_smtp(cls, path, value):
        """One of the scanner's own SMTP settings, as a page saves it."""
        before = cls.stack.mta_status()["configuration_version"]
        database = cls.stack.postgres
        smtp = json.loads(database.value("SELECT smtp FROM scanner"))
        *parents, last = path
        at = smtp
        for name in parents:
            at = at.setdefault(name, {})
        at[last] = value
        text = json.dumps(smtp).replace("'", "''")
        database.query(
            f"BEGIN; UPDATE scanner SET smtp = '{text}';"
            " UPDATE configuration_version SET version = version + 1;"
            " SELECT pg_notify('configuration_changed', version::text) FROM configuration_version;"
            " COMMIT;")
        wait_until("the setting runs", lambda: cls.stack.mta_status().get(
            "configuration_version", 0) > before)

    def route(self, domain, port=None):
        """Only a change has a new version to wait for."""
        if self.routes.get(domain) != (port or self.stack.sink.port):
            self.stack.set_route(domain, port)
            self.routes[domain] = port or self.stack.sink.port

    def setUp(self):
        self.route("away.test", self.away)
        self.addCleanup(self.empty)

    def empty(self):
        self.set_smtp(("inbound", "deliver"), True)
        self.set_smtp(("outbound", "deliver"), True)
        self.act("delete", {})

    def ask(self, **request):
        reply = self.stack.ask("mta", **request)
        self.assertTrue(reply["ok"], reply)
        return reply

    def listed(self, **conditions):
        return self.ask(op="queue_list", filter=conditions, limit=1000)["messages"]

    def act(self, action, conditions, **more):
        """Returns what the job counted at its end."""
        job = self.ask(op="queue_act", action=action, filter=conditions, administrator="ada",
                       **more)["job"]
        return wait_until("the job ends", lambda: self.job_if_done(job), 60)

    def job_if_done(self, job):
        reply = self.ask(op="queue_job", job=job)
        return reply if reply["done"] else None

    def send(self, recipient="b@away.test", sender=None, port=None):
        mark = unique()
        code, _ = self.stack.send(sender or f"{mark}@client.test", [recipient],
                                  f"Subject: {mark}\r\n\r\ntext\r\n", port)
        self.assertEqual(code, 250)
        return mark

    def queue_one(self, **arguments):
        """A message whose first attempt failed."""
        mark = self.send(**arguments)
        conditions = {"state": "waiting"} if "sender" in arguments else {
            "state": "waiting", "sender": mark}
        wait_until("the attempt is over", lambda: [
            m for m in self.listed(**conditions) if m["recipients"][0]["attempts"] == 1])
        return mark

    def states(self, mark):
        return [row[0] for row in self.stack.postgres.query(
            "SELECT r.state FROM audit_message m JOIN audit_recipient r ON r.message_id = m.id"
            f" WHERE m.subject = '{mark}'")]

    def events(self, mark, kind):
        return [json.loads(row[0]) for row in self.stack.postgres.query(
            "SELECT e.payload FROM audit_event e JOIN audit_message m ON e.message_id = m.id"
            f" WHERE m.subject = '{mark}' AND e.type = '{kind}' ORDER BY e.seq")]

    def wait_for_state(self, mark, state):
        wait_until(f"the audit log says {state}", lambda: self.states(mark) == [state], 30)

    def is_in(self, sink, mark):
        return [m for m in sink.copy() if mark.encode() in m[2]]

    # --- lists ---

    def test_list_names_the_next_attempt_and_the_attempts(self):
        mark = self.queue_one()
        [message] = self.listed(sender=mark)
        [recipient] = message["recipients"]
        self.assertEqual(recipient["attempts"], 1)
        self.assertRegex(recipient["reply"], r"^4\d\d ")
        next_attempt = time.mktime(time.strptime(recipient["next_attempt"][:19],
                                                 "%Y-%m-%dT%H:%M:%S")) - time.timezone
        self.assertGreater(next_attempt, time.time() + RETRY_SECONDS / 2)
        self.assertEqual(self.listed(domain="away.test", text=mark), [message])
        self.assertEqual(self.listed(domain="other.test", text=mark), [])
        whole = self.ask(op="queue_message", id=message["id"])
        self.assertIn(f"Subject: {mark}", whole["header"])
        self.assertNotIn("text\n", whole["header"])

    # --- actions ---

    def test_flush_delivers_once_the_host_is_back(self):
        port = free_ports(1)[0]
        self.route("back.test", port)
        mark = self.queue_one(recipient="b@back.test")
        back = Sink(port)
        self.addCleanup(back.close)
        self.assertEqual(self.act("flush", {"sender": mark})["changed"], 1)
        wait_until("the message is delivered", lambda: self.is_in(back, mark))
        self.wait_for_state(mark, "delivered")
        self.assertEqual(self.events(mark, "delivery")[-1]["attempt"], 2)
        [event] = self.events(mark, "queue")
        self.assertEqual((event["action"], event["administrator"], event["recipients"]),
                         ("flush", "ada", [0]))

    def test_what_is_held_waits_through_a_kill_until_it_is_released(self):
        mark = self.queue_one()
        self.act("hold", {"sender": mark})
        pid = self.stack.service_pid("mta")
        os.kill(pid, signal.SIGKILL)
        wait_until("the mta is back", lambda: self.stack.service_pid("mta") not in (0, pid)
                   and self.stack.mta_status().get("configuration_version", 0) > 0)
        self.assertEqual([m["state"] for m in self.listed(sender=mark)], ["held"])
        self.route("away.test")
        self.assertEqual(self.act("flush", {"sender": mark})["changed"], 0)
        self.assertEqual(self.act("release", {"sender": mark})["changed"], 1)
        self.act("flush", {"sender": mark})
        wait_until("the message is delivered", lambda: self.is_in(self.stack.sink, mark))
        self.wait_for_state(mark, "delivered")
        self.assertEqual([e["action"] for e in self.events(mark, "queue")],
                         ["hold", "release", "flush"])

    def test_reroute_by_address_and_by_name(self):
        there = Sink6()
        self.addCleanup(there.close)
        mark = self.queue_one()
        self.act("reroute", {"sender": mark}, route=f"[::1]:{there.port}")
        wait_until("the message went to ::1", lambda: self.is_in(there, mark))
        self.wait_for_state(mark, "delivered")
        [event] = self.events(mark, "queue")
        self.assertEqual(event["route"], f"[::1]:{there.port}")
        other = self.queue_one()
        self.act("reroute", {"sender": other}, route=f"127.0.0.1:{self.stack.sink.port}")
        wait_until("the message went to the sink", lambda: self.is_in(self.stack.sink, other))
        self.wait_for_state(other, "delivered")

    def test_reroute_moves_outbound_mail_that_goes_by_mx(self):
        self.act("hold", {})
        self.set_smtp(("outbound", "deliver"), False)
        mark = self.send("c@not-ours.test", port=self.stack.outbound)
        wait_until("the message is queued", lambda: self.listed(sender=mark, queue="delivery"))
        self.act("reroute", {"sender": mark}, route=f"127.0.0.1:{self.stack.sink.port}")
        self.set_smtp(("outbound", "deliver"), True)
        wait_until("the message went to the sink", lambda: self.is_in(self.stack.sink, mark))

    def test_a_route_that_is_none_changes_nothing(self):
        mark = self.queue_one()
        before = self.listed(sender=mark)
        reply = self.stack.ask("mta", op="queue_act", action="reroute", route="no route",
                               filter={}, administrator="ada")
        self.assertFalse(reply["ok"])
        self.assertEqual(self.listed(sender=mark), before)

    def test_delete_tells_nobody_but_the_audit_log(self):
        mark = self.queue_one()
        self.assertEqual(self.act("delete", {"sender": mark})["changed"], 1)
        self.assertEqual(self.listed(sender=mark), [])
        self.wait_for_state(mark, "deleted")
        event = self.events(mark, "action")[-1]
        self.assertEqual(event["policy"], "administrator")
        self.assertIn("ada", event["detail"])

    def test_bounce_reaches_the_sender(self):
        self.route("home.test")
        mark = self.queue_one(sender="boss@home.test")
        self.assertEqual(self.act("bounce", {"sender": "boss@home.test"})["changed"], 1)
        [bounce] = wait_until("the bounce arrives", lambda: self.is_in(self.stack.sink, mark))
        self.assertEqual(bounce[:2], ("", ["boss@home.test"]))
        self.assertIn(b"returned this message to its sender", bounce[2])
        self.wait_for_state(mark, "bounced")
        self.assertTrue(self.events(mark, "bounced")[0]["dsn"])

    def test_the_console_shows_what_the_scanner_has_queued(self):
        mark = self.queue_one()
        browser = self.stack.administrator(f"a{unique()}")
        wait_until("the page shows the message",
                   lambda: f"{mark}@client.test" in browser.get(f"/queues?sender={mark}"), 30)

    # --- pausing ---

    def check_pause(self, direction, port):
        self.route("here.test")
        self.set_smtp((direction, "deliver"), False)
        mark = self.send("b@here.test", port=port)
        wait_until("the message is queued", lambda: self.listed(sender=mark, queue="delivery"))
        self.stack.stop_scanner()
        self.stack.start_scanner()
        self.stack.wait_for_scanner()
        time.sleep(1.5)
        self.assertEqual(self.is_in(self.stack.sink, mark), [])
        self.assertEqual([m["state"] for m in self.listed(sender=mark)], ["waiting"])
        self.set_smtp((direction, "deliver"), True)
        wait_until("the message is delivered", lambda: self.is_in(self.stack.sink, mark), 10)

    def test_paused_delivery_of_inbound_mail_outlives_a_restart(self):
        self.check_pause("inbound", self.stack.inbound)

    def test_paused_delivery_of_outbound_mail_outlives_a_restart(self):
        self.check_pause("outbound", self.stack.outbound)

    def test_the_other_direction_goes_on(self):
        self.route("here.test")
        self.set_smtp(("outbound", "deliver"), False)
        mark = self.send("b@here.test")
        wait_until("the message is delivered", lambda: self.is_in(self.stack.sink, mark))


if __name__ == "__main__":
    unittest.main()
