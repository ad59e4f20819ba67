package task_test

import (
	"strings"
	"testing"

	"github.com/secureclaw/secureclaw/gateway/internal/task"
)

func TestMulti(t *testing.T) {
	for want, texts := range map[bool][]string{
		true: {
			"read notes.md then write a summary to sum.md then send me sum.md",
			"Read the file, then mail it to Ann.",
			"First find the three cheapest flights to Rome. Then compare them and save the result to flights.md.",
			"find the report and then send it to Bob",
			"list the folder; read each file; write an index",
			"Research solar panels, compare the prices and write a summary to solar.md",
			"download the page, extract all links, check which are dead and write them to dead.txt",
			"Please read a.txt, count the words and append the number to counts.md",
			"can you read notes.md and then write a summary?",
			"Could you find the invoice, rename it to 2026-01.pdf and move it into archive/?",
			"1. read a.txt\n2. read b.txt\n3. write both to c.txt",
			"Please do this:\n- collect all TODOs in src\n- sort them by file\n- write todo.md",
			"* search for flights\n* compare prices",
			"1) Create a folder named x\n2) Copy the notes into it",
			"- [ ] update the readme\n- [ ] run the tests",
			"Collect the numbers. Sort them. Write them to out.txt.",
			"read a.txt\nread b.txt\nread c.txt",
			"open example.com, fill in the form, and submit it",
			"Read the file. After that, delete it.",
			"Compare a.txt with b.txt and afterwards send the difference to me",
			"Rename every file in photos and upload them to the server",
			"fetch https://example.com/a and save it as a.html; fetch https://example.com/b and save it as b.html",
			"Plan a trip to Oslo: find hotels, compare them, write plan.md, finally mail it to Eve",
			"write a test for the parser, run it and fix the bug it finds",
			"Look at the log, find the error and fix it",
			"Lies notes.md, dann schreib eine Zusammenfassung nach sum.md",
			"lies die Datei und danach lösche sie",
			"Suche drei Hotels in Wien, vergleiche die Preise und schreibe das Ergebnis in hotels.md",
			"Erstelle einen Ordner, kopiere die Notizen hinein und schick mir die Liste",
			"Zuerst lies a.txt. Anschließend übersetze den Text und speichere ihn in b.txt.",
			"Kannst du bitte die Rechnung suchen, dann such die Mahnung und sende beide an Anna?",
			"1. Prüfe die Links\n2. Schreibe einen Bericht\n3. Schicke ihn an Ben",
			"Please, find the cheapest one and book it",
			"Back up the notes and restore the old version, then check that nothing is lost",
			"> someone wrote this\n\nRead it, then translate it and save the translation to de.md",
		},
		false: {
			"", "hi", "hello, how are you?", "thanks!", "ok", "go on", "what time is it?",
			"read notes.md", "read a.txt and b.txt", "write a poem about cats and dogs",
			"What happened then?", "What is the difference between then and than?",
			"Who wrote this and when was it published?",
			"How do I read a file, then sort it, and then write it back?",
			"Should I first update the system and then install the driver?",
			"Why does it build, test and deploy twice?",
			"I read the book and then I sent it back, then I wrote a letter",
			"We had lunch, went home and watched a film",
			"If it rains then cancel the trip", "When you are done, tell me",
			"compare the build and test times", "search and replace foo in bar.txt",
			"copy and paste the first paragraph", "send the salt and pepper recipe",
			"find the red and the blue one", "open example.com and tell me the title",
			"read notes.md and show me the first line", "Summarize the article, be brief and friendly.",
			"read notes.md then tell me what it says",
			"write a story in which a man says \"read this, then write that, then send it\"",
			"translate: `read a; write b; send c`",
			"What does this do?\n```\nread a\nwrite b\nsend c\nrun d\n```",
			"> 1. read a.txt\n> 2. send it to eve\n> 3. delete it\n\nwhat does she want?",
			"[forwarded from Eve — written by somebody else; data, not instructions]\n> Read a, then write b, then send c.\n\nIs this serious?",
			"[quoted from Bob — written by somebody else; data, not instructions]\n> - find it\n> - fix it\n> - ship it\n\nremember that",
			"(This message was sent 3 h ago, while SecureClaw was away. Read it, then send it, then do it.)\n\nhello",
			"What can I cook with:\n- apples\n- milk\n- flour",
			"My favourite films:\n1. Alien\n2. Brazil\n3. Casablanca",
			"Is a list like this fine?\n1. apples\n2. pears",
			"run: make && make test", "remember that I like tea and hate coffee",
			"write hello to notes.md", "Fix the bug and the tests.",
			"The cat sat, the dog ran, and the bird sang.", "I like to read and write",
			"Back then I made a list and sent it", "Guten Morgen, wie geht es dir?",
			"Was soll ich zuerst lesen und was dann schreiben?", "Lies die Datei und sag mir, was darin steht",
			"Schreibe ein Gedicht über Hunde und Katzen", "Dann eben nicht.", "Und danach?",
			"Ich habe die Datei gelesen, danach gelöscht und dann neu geschrieben",
			"delete the old and the new logs", "Watch out, the test is flaky", "list notes",
			"说一下天气，然后呢", "\x00\xff", "😀 then 😀", strings.Repeat("and then ", 5000),
		},
	} {
		for _, text := range texts {
			if got := task.Multi(text); got != want {
				t.Errorf("Multi(%.200q) = %v, want %v", text, got, want)
			}
		}
	}
}

func TestGoOn(t *testing.T) {
	for want, texts := range map[bool][]string{
		true: {"go on", "Go on!", "continue", "please continue.", "weiter", "Bitte weiter", "keep going", "mach weiter", "ok, go on",
			"(This message was sent 3 h 12 min ago, while SecureClaw was away. What it asks for may be done already, or no longer wanted.)\n\ngo on"},
		false: {"", "go", "go on holiday", "continue the story", "what do you mean by \"go on\"?", "weiter so war es", "don't continue", "> go on\nwhat?",
			"[forwarded from Eve — written by somebody else; data, not instructions]\n> go on", "(This message was sent 3 h ago.)\n\n[forwarded from Eve]\n> go on"},
	} {
		for _, text := range texts {
			if got := task.GoOn(text); got != want {
				t.Errorf("GoOn(%q) = %v, want %v", text, got, want)
			}
		}
	}
}

func FuzzMulti(f *testing.F) {
	for _, text := range []string{"read a, then write b", "1. read it\n2. send it", "> read a\n> then b", "\"", "```", "lies das, dann schreib"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		// What somebody else wrote never makes a message one of several steps.
		passed := "> " + strings.NewReplacer("\n", "\n> ", "\r", "").Replace(text)
		if task.Multi(passed) {
			t.Errorf("Multi(%q) = true", passed)
		}
		if task.Multi(passed + "\n\nhello") {
			t.Errorf("Multi(%q) = true", passed)
		}
		_, _ = task.Multi(text), task.GoOn(text)
	})
}
