"""Mail flow by direction, set in the console: it holds over restarts, because it is configuration."""
import smtplib
import unittest

from stack import Stack, unique, wait_until


class MailFlow(unittest.TestCase):
    def setUp(self):
        self.stack = Stack()
        self.addCleanup(self.stack.close)
        self.stack.set_route("example.test")
        self.browser = self.stack.administrator()
        self.host = self.stack.postgres.value("SELECT id FROM scanner")

    def set_flow(self, inbound, outbound="normal"):
        version = self.stack.mta_status()["configuration_version"]
        response, text = self.browser.post(f"/hosts/{self.host}/flow",
                                           {"inbound": inbound, "outbound": outbound},
                                           f"/hosts/{self.host}")
        self.assertEqual(response.status, 303, text)
        wait_until("the mail flow runs",
                   lambda: self.stack.mta_status().get("configuration_version", 0) > version)

    def greeting(self, port):
        client = smtplib.SMTP(timeout=30)
        try:
            return client.connect("127.0.0.1", port)[0]
        finally:
            client.close()

    def restart(self):
        self.stack.stop_scanner()
        self.stack.start_scanner()
        wait_until("the mta has a configuration",
                   lambda: self.stack.mta_status().get("configuration_version", 0) > 0, 60)
        wait_until("outbound SMTP answers", self.outbound_is_up, 30)

    def outbound_is_up(self):
        try:
            return self.greeting(self.stack.outbound) == 220
        except OSError:
            return False

    def test_a_restart_changes_nothing_and_the_queue_waits_or_drains(self):
        subject = unique()
        self.set_flow("no_delivery")
        code, _ = self.stack.send("a@client.test", ["b@example.test"],
                                  f"Subject: {subject}\r\n\r\nHello\r\n")
        self.assertEqual(code, 250)
        self.restart()
        self.assertEqual(self.greeting(self.stack.inbound), 220)
        self.assertEqual(sum(self.stack.mta_status()["queues"].values()), 1)
        self.assertFalse(self.stack.sink.copy())
        self.set_flow("stopped")
        self.restart()
        self.assertEqual(self.greeting(self.stack.inbound), 421)
        self.assertEqual(sum(self.stack.mta_status()["queues"].values()), 1)
        self.set_flow("no_accept")
        wait_until("the queue drains", lambda: len(self.stack.sink.copy()) == 1)
        self.assertEqual(self.greeting(self.stack.inbound), 421)
        self.set_flow("normal")
        self.assertEqual(self.greeting(self.stack.inbound), 220)


if __name__ == "__main__":
    unittest.main()
