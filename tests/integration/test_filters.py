"""Content filters on their whole way: one message whose recipients have different policies comes in
by SMTP, and each gets its own outcome, as the next hop and the audit log show."""
import json
import re
import unittest

from stack import Sink, Stack, unique, wait_until

WORD = "policies"


def to(name):
    return f"{name}@example.test"


def filter_for(name, actions, **more):
    """A filter for the recipient of that name, in messages that this test sends."""
    return {"id": name, "name": name.capitalize(), "conditions": [
        {"field": "subject", "op": "contains", "values": [WORD]},
        {"field": "recipient", "op": "address", "values": [to(name)]}], "actions": actions, **more}


DOCUMENT = {
    "groups": [{"id": "lab", "name": "Lab", "members": [to("lab")],
                "malware": {"inbound": {"unscannable": {"action": "deliver"}}}}],
    "folders": [{"id": "legal", "name": "Legal", "quarantine": True},
                {"id": "log", "name": "Log", "quarantine": False}],
    "filters": [
        filter_for("gone", [{"action": "delete"}]),
        filter_for("refused", [{"action": "reject", "text": "No policies here"}]),
        filter_for("held", [{"action": "incident", "folder": "legal"}]),
        filter_for("logged", [{"action": "incident", "folder": "log"}]),
        filter_for("noted", [{"action": "add_header", "name": "X-Noted", "value": "yes"},
                             {"action": "subject", "text": "[noted] ", "place": "begin"}]),
        filter_for("copied", [{"action": "bcc", "address": to("watcher")},
                              {"action": "archive", "address": to("archive")},
                              {"action": "forward", "address": to("forward")}]),
        filter_for("replaced", [{"action": "remove_recipients"},
                                {"action": "add_recipient", "address": to("deputy")}]),
        {"id": "attack", "name": "Attack", "conditions": [
            {"field": "body", "op": "contains", "values": ["refuse this for all"]}],
         "actions": [{"action": "reject", "text": "Nobody wants this"}]},
        {"id": "lab", "name": "Lab", "groups": ["lab"], "conditions": [
            {"field": "subject", "op": "contains", "values": [WORD]}],
         "actions": [{"action": "add_header", "name": "X-Lab", "value": "yes"}]},
    ],
}


class Filters(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.stack = Stack()
        cls.addClassCleanup(cls.stack.close)
        cls.browser = cls.stack.administrator()
        cls.elsewhere = Sink()
        cls.addClassCleanup(cls.elsewhere.close)
        document = json.loads(json.dumps(DOCUMENT))
        document["filters"].append(filter_for(
            "routed", [{"action": "route", "host": f"127.0.0.1:{cls.elsewhere.port}"}]))
        cls.publish(document)

    @classmethod
    def publish(cls, document):
        """As the store does it; the route then tells the scanners that there is something new."""
        text = json.dumps(document).replace("'", "''")
        cls.stack.postgres.query(
            "INSERT INTO policy_version (version, document, words, comment, administrator)"
            " SELECT coalesce(max(version), 0) + 1, '" + text + "'::json, '{}', '', 'test'"
            " FROM policy_version")
        cls.stack.set_route("example.test")
        cls.stack.set_route("client.test")
        reply = cls.stack.ask("engine-control", op="reload", force=True)
        assert reply["ok"], reply

    # --- what became of it ---

    def message(self, mark, text="Hello."):
        return (f"From: <{mark}@client.test>\r\nTo: <all@example.test>\r\nSubject: {WORD} {mark}\r\n"
                f"Message-ID: <{mark}@client.test>\r\n\r\n{text}\r\n")

    def received(self, mark, sink=None):
        """{recipient: content} of the messages with the mark that came to the next hop."""
        found = {}
        for _, recipients, content in (sink or self.stack.sink).copy():
            if mark.encode() in content:
                for recipient in recipients:
                    self.assertNotIn(recipient, found, "delivered twice")
                    found[recipient] = content.decode()
        return found

    def first_message(self, mark):
        return self.stack.postgres.value(
            f"SELECT id FROM audit_message WHERE sender = '{mark}@client.test' AND"
            " protocol <> 'internal'")

    def states(self, message_id):
        """{address: state} of a message in the audit log."""
        return dict(self.stack.postgres.query(
            f"SELECT address, state FROM audit_recipient WHERE message_id = '{message_id}'"))

    def final_states(self, mark):
        """The same with the end of those who went on in other messages."""
        rows = self.stack.postgres.query(
            "SELECT r.address, r.state FROM audit_message m JOIN audit_recipient r ON"
            f" r.message_id = m.id WHERE m.sender = '{mark}@client.test' ORDER BY m.id")
        return {address: state for address, state in rows if state != "moved"}

    # --- the tests ---

    def test_each_recipient_of_one_message_gets_the_own_outcome(self):
        mark = unique()
        names = ["plain", "gone", "refused", "held", "logged", "noted", "copied", "routed",
                 "replaced", "lab"]
        code, text = self.stack.send(f"{mark}@client.test", [to(n) for n in names],
                                     self.message(mark))
        self.assertEqual(code, 250, text)
        wanted = {to(n) for n in ("plain", "logged", "noted", "copied", "lab", "watcher", "archive",
                                  "forward", "deputy")} | {f"{mark}@client.test"}
        with self.stack.logs_of_failure():
            wait_until("all is delivered", lambda: set(self.received(mark)) == wanted and
                       self.received(mark, self.elsewhere))
        found = self.received(mark)
        self.assertIn(f"\r\nSubject: {WORD} {mark}\r\n", found[to("plain")])
        self.assertNotIn("X-Noted", found[to("plain")])
        self.assertIn("X-Noted: yes\r\n", found[to("noted")])
        self.assertIn(f"Subject: [noted] {WORD} {mark}\r\n", found[to("noted")])
        self.assertIn("X-Lab: yes\r\n", found[to("lab")])
        self.assertNotIn("X-Lab", found[to("noted")])
        self.assertIn(f"X-Gatehouse-Sender: <{mark}@client.test>\r\n", found[to("archive")])
        self.assertIn(f"X-Gatehouse-Recipient: <{to('copied')}>\r\n", found[to("archive")])
        self.assertNotIn(to("plain"), found[to("archive")])
        self.assertIn("Content-Type: message/rfc822", found[to("forward")])
        report = found[f"{mark}@client.test"]
        self.assertIn("554 5.7.1 No policies here", report)
        self.assertIn(f"Final-Recipient: rfc822; {to('refused')}", report)
        self.assertNotIn(f"Final-Recipient: rfc822; {to('gone')}", report)
        self.assertEqual(set(self.received(mark, self.elsewhere)), {to("routed")})
        self.check_audit_log(mark)

    def check_audit_log(self, mark):
        self.stack.wait_for_events()
        ends = {to("gone"): "deleted", to("refused"): "bounced", to("held"): "held",
                to("replaced"): "deleted"}
        for name in ("plain", "logged", "noted", "copied", "routed", "lab", "watcher", "deputy"):
            ends[to(name)] = "delivered"
        wait_until("the audit log knows every end",
                   lambda: self.final_states(mark) == ends, 20)
        first = self.first_message(mark)
        states = self.states(first)
        self.assertEqual(states[to("noted")], "moved")
        page = self.browser.get(f"/audit/{first}")
        self.assertIn("Held in the folder Legal", page)
        self.assertIn("Copied to the folder Log", page)
        self.assertIn("filter: Gone", page)
        moved = re.search(r'<a href="/audit/([0-9a-f-]{36})">The other message</a>', page)[1]
        self.assertIn(f"/audit/{first}", self.browser.get(f"/audit/{moved}"))

    def test_what_all_filters_refuse_is_refused_in_the_session(self):
        mark = unique()
        code, text = self.stack.send(f"{mark}@client.test", [to("plain"), to("noted")],
                                     self.message(mark, "Please refuse this for all."))
        self.assertEqual((code, text), (554, b"5.7.1 Nobody wants this"))
        self.stack.wait_for_events()
        self.assertEqual(self.states(self.first_message(mark)),
                         {to("plain"): "rejected", to("noted"): "rejected"})

    def test_an_incident_comes_to_the_control_center_and_is_not_delivered(self):
        mark = unique()
        code, _ = self.stack.send(f"{mark}@client.test", [to("held")], self.message(mark))
        self.assertEqual(code, 250)
        self.stack.wait_for_events()
        first = self.first_message(mark)
        self.assertEqual(self.states(first), {to("held"): "held"})
        self.assertEqual(wait_until("the incident is there", lambda: self.stack.postgres.query(
            "SELECT folder, quarantine, recipients->>0, finds->0->>'text' FROM incident"
            f" WHERE message_id = '{first}'")), [["legal", "t", to("held"), WORD]])
        self.assertEqual(self.received(mark), {})


if __name__ == "__main__":
    unittest.main()
