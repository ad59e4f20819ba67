package task

import "strings"

// acting are verbs, as an order begins with them, that do something; "tell" and "show" only ask for the
// answer. Nobody writes to these tables.
var acting = set(`
	add analyse analyze answer append archive arrange ask backup bake book browse build buy calculate call cancel change check
	choose clean clone collect commit compare compile compute configure confirm convert copy count crawl create delete deploy design determine
	download draft draw edit email enter estimate evaluate execute explore export extract fetch fill filter find fix format forward gather
	generate get grep group identify implement import insert inspect install investigate invite list load log look mail make measure merge migrate
	monitor move note open order organise organize pack parse pick plan plot post prepare print publish pull push put rank read record refactor
	register reinstall remember remind remove rename reorder repair replace reply request research reserve resize restart restore
	review rewrite run save scan schedule screenshot search select send set setup share sign sketch sort split start stat stop store submit
	subscribe summarise summarize switch sync take test tidy track transfer translate transcribe turn uninstall unpack unzip update upgrade upload use
	validate verify visit watch wrap write zip

	aktualisiere aktualisieren analysiere analysieren antworte archiviere baue bauen beantworte benenne berechne berechnen bestelle bestellen buche
	buchen drucke ergänze ergänzen ersetze ersetzen erstelle erstellen erzeuge entferne entfernen fasse finde finden formuliere frage führe füge generiere
	gehe hänge hol hole holen installiere installieren kaufe kaufen kopiere kopieren korrigiere lade laden lege leg leite lies lese lesen liste lösch lösche
	löschen mach mache melde merk merke miss nimm notiere öffne öffnen ordne pack packe plane prüf prüfe prüfen räum räume recherchiere recherchieren
	reserviere sammel sammle sammeln schau schick schicke schicken schreib schreibe schreiben sende senden setz setze sortiere sortieren
	speicher speichere speichern starte stell stelle such suche suchen teste testen trag trage überprüf überprüfe übersetz übersetze übersetzen verschick
	verschicke verschiebe verschieben vergleich vergleiche vergleichen vereinbare verlege wähle wandle zähl zähle zusammenfassen`)

// leads are words that follow a verb when it is one.
var leads = set(`
	a an the it them this that these those my our your his her their its all every each any some both only another one two three four five ten
	me us him everyone everybody for to in on into onto from with without up down out off at about through over what which who whom whose how when
	where whether if everything anything nothing something also again back new old more
	den die das dem der des ein eine einen einem einer eines es sie ihn ihm ihr mir dir uns euch ihnen alle alles allen jede jeden jedes meine meinen meiner mein
	unsere unseren deine deinen dein seine seinen ihre ihren nach in im an am auf aus bei mit von vom zu zum zur für über unter was welche welchen wie wann wo ob nur
	dazu daraus davon diese diesen dieses beide beiden neu neue neuen mich dich sich`)

func set(words string) map[string]bool {
	out := map[string]bool{}
	for _, w := range strings.Fields(words) {
		out[w] = true
	}
	return out
}
