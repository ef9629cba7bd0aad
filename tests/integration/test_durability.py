"""No accepted message is lost and no event is told twice, whatever dies."""
import collections
import os
import signal
import smtplib
import subprocess
import threading
import time
import unittest

import made_messages
from stack import EICAR, Stack, unique, wait_until

SENDERS = 4


class Load(threading.Thread):
    """Sends until told to stop; knows which messages were answered 250."""

    def __init__(self, stack):
        super().__init__(daemon=True)
        self.stack = stack
        self.accepted = []
        self.stopping = threading.Event()

    def run(self):
        while not self.stopping.is_set():
            mark = unique()
            try:
                code, _ = self.stack.send(f"{mark}@client.test", ["b@example.test"],
                                          f"Subject: {mark}\r\n\r\n{'text ' * 200}\r\n")
                if code == 250:
                    self.accepted.append(mark)
            except (OSError, smtplib.SMTPException):
                time.sleep(0.05)


class Durability(unittest.TestCase):
    def setUp(self):
        self.stack = Stack()
        self.addCleanup(self.stack.close)
        self.stack.set_route("example.test")

    def start_load(self):
        senders = [Load(self.stack) for _ in range(SENDERS)]
        for sender in senders:
            sender.start()
        return senders

    def stop_load(self, senders):
        for sender in senders:
            sender.stopping.set()
        for sender in senders:
            sender.join(120)
        return [mark for sender in senders for mark in sender.accepted]

    def marks_in_sink(self):
        return collections.Counter(message[0].partition("@")[0]
                                   for message in self.stack.sink.copy())

    def check_all_there(self, accepted):
        self.assertGreater(len(accepted), 10)
        missing = lambda: set(accepted) - set(self.marks_in_sink())
        try:
            wait_until("every accepted message is delivered", lambda: not missing(), 120, 0.2)
        except AssertionError:
            self.stack.show_logs()
            self.fail(f"{len(missing())} of {len(accepted)} accepted messages are missing")
        self.stack.wait_for_empty_queue(120)
        self.check_record(accepted)

    def check_record(self, accepted):
        """Each message once in the audit log, delivered; the events without gap or double."""
        database = self.stack.postgres
        rows = database.query("SELECT split_part(m.sender, '@', 1), r.state FROM audit_message m"
                              " JOIN audit_recipient r ON r.message_id = m.id")
        states = collections.defaultdict(list)
        for mark, state in rows:
            states[mark].append(state)
        wrong = {mark: states.get(mark) for mark in accepted if states.get(mark) != ["delivered"]}
        self.assertFalse(wrong)
        numbers = database.query("SELECT count(*), count(DISTINCT seq), max(seq) FROM audit_event"
                                 " WHERE seq > 0")[0]
        self.assertEqual(len(set(numbers)), 1, numbers)

    def kill(self, victim):
        if victim == "center":
            self.stack.stop_center(signal.SIGKILL)
            self.stack.start_center()
        elif victim == "database":
            self.stack.postgres.stop(signal.SIGKILL)
            self.stack.postgres.start()
        elif victim == "supervisor":
            self.stack.stop_scanner(signal.SIGKILL)
            time.sleep(0.5)
            self.stack.start_scanner()
            self.stack.wait_for_scanner()
        else:
            pid = self.stack.service_pid(victim)
            os.kill(pid, signal.SIGKILL)
            wait_until(f"{victim} is back",
                       lambda: self.stack.service_pid(victim) not in (0, pid), 60)

    def test_kill_of_every_process_under_load_loses_nothing(self):
        senders = self.start_load()
        for victim in ("mta", "engine", "agent", "mta", "center", "database", "supervisor", "mta"):
            time.sleep(1.0)
            self.kill(victim)
        self.stack.wait_for_scanner()
        time.sleep(1.0)
        self.check_all_there(self.stop_load(senders))

    def test_control_center_and_database_away_lose_no_event(self):
        self.stack.stop_center(signal.SIGKILL)
        self.stack.postgres.stop(signal.SIGKILL)
        senders = self.start_load()
        time.sleep(4)
        accepted = self.stop_load(senders)
        self.stack.stop_scanner()
        self.stack.start_scanner()
        self.stack.postgres.start()
        self.stack.start_center()
        self.stack.wait_for_scanner()
        self.check_all_there(accepted)

    def test_engine_away_means_scanned_later_and_never_delivered_unscanned(self):
        self.stack.ask("supervisor", op="stop", service="engine")
        wait_until("the engine is gone", lambda: self.stack.service_pid("engine") == 0, 30)
        done = []
        def send(subject, content):
            done.append(self.stack.send(f"{subject}@client.test", ["b@example.test"],
                                        f"Subject: {subject}\r\n\r\n{content}\r\n")[0])
        names = [unique(), unique()]
        threads = [threading.Thread(target=send, args=pair)
                   for pair in zip(names, ("Hello", EICAR))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(90)
        self.assertEqual(done, [250, 250])
        self.assertEqual(self.stack.mta_status()["queues"],
                         {"i_qmsgs": 2, "o_qmsgs": 0, "d_qmsgs": 0})
        self.assertFalse(self.stack.sink.copy())
        self.stack.ask("supervisor", op="start", service="engine")
        wait_until("the clean one is delivered", lambda: self.marks_in_sink()[names[0]] == 1, 60)
        wait_until("both left the queue",
                   lambda: self.stack.mta_status()["queues"]["i_qmsgs"] == 0, 60)
        self.assertEqual(self.marks_in_sink()[names[1]], 0)
        self.stack.wait_for_events()
        rows = self.stack.postgres.query("SELECT verdict, action FROM audit_message WHERE"
                                         f" sender = '{names[1]}@client.test'")
        self.assertEqual(rows, [["virus", "delete"]])

    def test_refusal_of_unscannable_mail_that_was_accepted_unscanned_is_a_bounce(self):
        browser = self.stack.administrator()
        self.stack.set_route("client.test")
        version = self.stack.mta_status()["configuration_version"]
        browser.post("/malware/policy", {"virus": "reject", "unscannable": "reject"})
        wait_until("the policy runs",
                   lambda: self.stack.mta_status().get("configuration_version", 0) > version)
        content = made_messages.too_deep(made_messages.random.Random(1), "deep")
        self.assertEqual(self.stack.send("a@client.test", ["b@example.test"], content)[0], 554)
        self.stack.ask("supervisor", op="stop", service="engine")
        wait_until("the engine is gone", lambda: self.stack.service_pid("engine") == 0, 30)
        self.assertEqual(self.stack.send("a@client.test", ["b@example.test"], content)[0], 250)
        self.stack.ask("supervisor", op="start", service="engine")
        wait_until("the sender is told", lambda: any(
            m[0] == "" and m[1] == ["a@client.test"] for m in self.stack.sink.copy()), 60)
        self.assertFalse([m for m in self.stack.sink.copy() if m[0]])

    def test_next_hop_that_comes_back_gets_the_mail(self):
        self.stack.sink.replies["MAIL"] = "451 4.3.0 not now"
        code, _ = self.stack.send("a@client.test", ["b@example.test"], "Subject: x\r\n\r\nHi\r\n")
        self.assertEqual(code, 250)
        self.stack.wait_for_events()
        def state():
            return self.stack.postgres.query("SELECT state, reply FROM audit_recipient")
        wait_until("it is deferred", lambda: state() and state()[0][0] == "deferred")
        self.assertIn("451 4.3.0 not now", state()[0][1])
        self.assertEqual(self.stack.mta_status()["queues"]["d_qmsgs"], 1)

    def test_refusal_of_the_next_hop_bounces_to_the_sender(self):
        self.stack.set_route("client.test")
        self.stack.sink.replies["RCPT"] = "550 5.1.1 no such user"
        code, _ = self.stack.send("a@client.test", ["b@example.test"], "Subject: x\r\n\r\nHi\r\n")
        self.assertEqual(code, 250)
        wait_until("the recipient is bounced", lambda: self.stack.postgres.value(
            "SELECT count(*) FROM audit_recipient WHERE state = 'bounced'") != "0")
        del self.stack.sink.replies["RCPT"]
        rows = self.stack.postgres.query("SELECT reply FROM audit_recipient WHERE state='bounced'")
        self.assertIn("550 5.1.1 no such user", rows[0][0])


@unittest.skipUnless(os.geteuid() == 0, "mounting a small disk needs root")
class FullDisk(unittest.TestCase):
    def test_full_disk_refuses_before_data_and_loses_nothing(self):
        stack = Stack(queue_disk="24m")
        self.addCleanup(stack.close)
        stack.set_route("example.test")
        stack.sink.replies["MAIL"] = "451 4.3.0 not now"
        accepted, refused = [], None
        for _ in range(400):
            mark = unique()
            content = f"Subject: {mark}\r\n\r\n" + ("x" * 70 + "\r\n") * 2500
            try:
                reply = stack.send(f"{mark}@client.test", ["b@example.test"], content)
            except smtplib.SMTPException as problem:
                reply = next(iter(getattr(problem, "recipients", {}).values()), None) or (
                    problem.smtp_code, problem.smtp_error)
            if reply[0] == 250:
                accepted.append(mark)
            else:
                refused = reply
                break
        self.assertIsNotNone(refused, "the disk never was full")
        self.assertEqual((refused[0], refused[1][:5]), (452, b"4.3.1"))
        self.assertGreater(len(accepted), 5)
        subprocess.run(["mount", "-o", "remount,size=512m", os.path.join(stack.state, "queue")],
                       check=True)
        def takes_mail():
            try:
                return stack.send("late@client.test", ["b@example.test"], "Subject: x\r\n\r\n")[
                    0] == 250
            except smtplib.SMTPException:
                return False
        wait_until("mail is taken again", takes_mail, 30, 0.3)
        del stack.sink.replies["MAIL"]
        os.kill(stack.service_pid("mta"), signal.SIGKILL)
        stack.wait_for_scanner()
        def queued():
            status = stack.mta_status()
            return status and sum(status["queues"].values())
        self.assertEqual(queued(), len(accepted) + 1)


if __name__ == "__main__":
    unittest.main()
