package fake

// The pages of a [Site] as text. Those with {{…}} are filled from their address, see fill.

const plainPage = `<title>Plain page</title><h1>Hello</h1><p>A paragraph with <a href="/rich">a link</a> and <em>words</em>.`

const richPage = `<title>Rich page</title><header><nav aria-label="Main"><ul>
<li><a href="/plain">Plain</a><li><a href="https://elsewhere.test/x">Elsewhere</a><li><a href="javascript:void 0">Script</a></ul></nav></header>
<main><h1>Rich</h1><h2>Form</h2>
<form action="/submitted" method=post><label>Name <input name=name value="Ada"></label>
<label>Password <input name=password type=password value="hunter2"></label>
<label><input type=checkbox name=agree checked> I agree</label>
<label>Colour <select name=colour><option>red<option selected>green<option>blue</select></label>
<label>Story <textarea name=story>once</textarea></label><input type=file aria-label=Upload>
<button disabled>Not now</button><button>Send</button></form>
<h2>Table</h2><table><caption>Prices</caption><tr><th>Thing<th>Price<tr><td>Tea<td>3<tr><td>Cake<td>5</table>
<h2>Frames</h2><iframe title="same" src="/frame"></iframe><iframe title="inline" srcdoc="<p>srcdoc text"></iframe>
{{if .Other}}<iframe title="other" src="https://{{.Other}}/frame"></iframe>{{end}}
<h2>Shadow</h2><div id=open></div><div id=closed></div><canvas width=20 height=20>canvas fallback</canvas>
<p style="display:none">not displayed</p><p aria-hidden=true>hidden from readers</p><p style="opacity:0">transparent</p>
<p style="font-size:1px">tiny text</p><p style="position:absolute;left:-9999px">far away</p><img src="/image" alt="A red line">
<details><summary>More</summary><p>folded text</details><div role=alert>Careful</div></main>
<script>
document.getElementById("open").attachShadow({mode:"open"}).innerHTML="<button>in the open shadow</button><slot></slot>";
document.getElementById("closed").attachShadow({mode:"closed"}).innerHTML="<button>in the closed shadow</button>";
document.querySelector("canvas").getContext("2d").fillRect(0,0,20,20);
</script>`

const formPage = `<title>Form</title><form action="/submitted" method=post><label>Name <input name=name id=name></label>
<label>Colour <select name=colour><option value=r>Red<option value=g>Green</select></label><button>Send</button></form>`

const restlessPage = `<title>Restless</title><h1>Restless</h1><p id=n>0<script>
let n=0;setInterval(()=>{document.getElementById("n").textContent=++n;const p=document.createElement("p");p.textContent="more "+n;document.body.append(p);if(n>50)document.querySelector("p:last-child").remove()},20);
(async function again(){try{await fetch("/tiny?"+n)}catch{}setTimeout(again,30)})();
fetch("/hang");new Image().src="/hang?image";
</script>`

const dialogsPage = `<title>Dialogs</title><h1>Before</h1><button onclick="alert('clicked');document.getElementById('o').textContent='after the click'">Alert me</button><p id=o><script>
for(let i=0;i<20;i++){alert("alert "+i);confirm("confirm "+i);prompt("prompt "+i,"x")}
document.getElementById("o").textContent="through";setInterval(()=>alert("again"),200);
addEventListener("beforeunload",e=>{e.preventDefault();e.returnValue="stay"});
</script>`

const windowsPage = `<title>Windows</title><h1>Windows</h1><a id=blank target=_blank href="{{.To}}">in a new tab</a>
<button onclick="window.open({{.To}})">open</button><p id=o><script>
let opened=0;for(let i=0;i<10;i++)if(window.open({{.To}}+"?"+i))opened++;document.getElementById("o").textContent="opened "+opened;
</script>`

const mixedPage = `<title>Mixed</title><h1>Mixed</h1><a id=down href="http://{{.Host}}/plain">http link</a><img src="http://{{.Host}}/image">
<script src="http://{{.Host}}/worker.js"></script><iframe src="http://{{.Host}}/frame"></iframe><p id=o><script>
fetch("http://{{.Host}}/tiny").then(()=>o.textContent="fetched",e=>o.textContent="not fetched")</script>`

const floodPage = `<title>Flood</title><h1>Flood</h1><p id=o>0<script>
const base={{if .Out}}"https://"+{{.Out}}{{else}}""{{end}};let n=0,bad=0;
for(let i=0;i<{{.N}};i++)fetch(base+"/tiny?"+i,{mode:"no-cors"}).catch(()=>bad++).finally(()=>{n++;document.getElementById("o").textContent=n+" done, "+bad+" failed"});
</script>`

// wantsPage tries every way that a page has to make a browser send something to a host that is not its own, and to
// loopback. The list says what the page saw of it; what counts is what arrived anywhere.
const wantsPage = `<title>trying</title>
<link rel=dns-prefetch href="//prefetch.{{.Out}}"><link rel=preconnect href="https://preconnect.{{.Out}}">
<link rel=prefetch href="https://{{.Out}}/prefetch"><link rel=prerender href="https://{{.Out}}/prerender">
<link rel=preload as=image href="https://{{.Out}}/preload"><link rel=modulepreload href="https://{{.Out}}/module.js">
<link rel=stylesheet href="https://{{.Out}}/style.css"><link rel=manifest href="https://{{.Out}}/manifest"><link rel=icon href="https://{{.Out}}/icon">
<script type=speculationrules>{"prerender":[{"source":"list","urls":["https://{{.Out}}/speculated"]}],"prefetch":[{"source":"list","urls":["https://{{.Out}}/spec-prefetch"],"requires":["anonymous-client-ip-when-cross-origin"]}]}</script>
<style>@font-face{font-family:x;src:url("https://{{.Out}}/font.woff2")}body{font-family:x;background:url("https://{{.Out}}/background")}</style>
<h1>Wants</h1><img src="https://{{.Out}}/img"><script src="https://{{.Out}}/script.js"></script>
<iframe src="https://{{.Out}}/iframe"></iframe><object data="https://{{.Out}}/object"></object><embed src="https://{{.Out}}/embed">
<video src="https://{{.Out}}/video" autoplay muted></video><audio src="https://{{.Out}}/audio" autoplay></audio>
<iframe src="file:///etc/passwd"></iframe><iframe src="view-source:https://{{.Host}}/"></iframe><iframe src="chrome://version"></iframe>
<a id=ping href="#" ping="https://{{.Out}}/ping">ping</a>
<form id=f method=post target=sink action="https://{{.Out}}/form"><input name=a value=b></form><iframe name=sink></iframe>
<ul id=log></ul><script>
const out={{.Out}}, log=document.getElementById("log");
const say=(what,how)=>{const li=document.createElement("li");li.textContent=what+": "+how;log.append(li)};
const soon=(p,ms=4000)=>Promise.race([p,new Promise((_,no)=>setTimeout(()=>no(new Error("timeout")),ms))]);
const tries={
 fetch:()=>fetch("https://"+out+"/fetch",{mode:"no-cors"}),
 post:()=>fetch("https://"+out+"/post",{method:"POST",mode:"no-cors",body:"secret",keepalive:true}),
 doh:()=>fetch("https://dns.google/dns-query?dns=AAABAAABAAAAAAAAA3d3dwdleGFtcGxlA2NvbQAAAQAB",{headers:{accept:"application/dns-message"}}),
 address:()=>fetch("https://93.184.216.35/",{mode:"no-cors"}),
 metadata:()=>fetch("http://169.254.169.254/latest/meta-data/",{mode:"no-cors"}),
 plain:()=>fetch("http://"+out+"/plain",{mode:"no-cors"}),
 port:()=>fetch("https://"+location.hostname+":8443/",{mode:"no-cors"}),
 xhr:()=>new Promise((ok,no)=>{const x=new XMLHttpRequest();x.onload=ok;x.onerror=()=>no(new Error("xhr"));x.open("GET","https://"+out+"/xhr");x.send()}),
 websocket:()=>new Promise((ok,no)=>{const w=new WebSocket("wss://"+out+"/ws");w.onopen=ok;w.onerror=()=>no(new Error("ws"))}),
 plainsocket:()=>new Promise((ok,no)=>{const w=new WebSocket("ws://"+out+"/ws");w.onopen=ok;w.onerror=()=>no(new Error("ws"))}),
 events:()=>new Promise((ok,no)=>{const e=new EventSource("https://"+out+"/events");e.onopen=ok;e.onerror=()=>{e.close();no(new Error("events"))}}),
 worker:()=>new Promise((ok,no)=>{const w=new Worker("/worker.js?"+out);w.onmessage=m=>m.data=="ok"?ok():no(new Error(m.data));w.onerror=no}),
 shared:()=>new Promise((ok,no)=>{const w=new SharedWorker("/worker.js?"+out);w.port.onmessage=m=>m.data=="ok"?ok():no(new Error(m.data));w.onerror=no}),
 serviceworker:async()=>{await navigator.serviceWorker.register("/sw.js?"+out);const r=await navigator.serviceWorker.ready;const c=new MessageChannel();
  return new Promise((ok,no)=>{c.port1.onmessage=m=>m.data=="ok"?ok():no(new Error(m.data));r.active.postMessage(out,[c.port2])})},
 stun:()=>new Promise((ok,no)=>{const p=new RTCPeerConnection({iceServers:[{urls:["stun:stun."+out+":3478","stun:93.184.216.35:3478"]},{urls:"turn:turn."+out+":3478?transport=tcp",username:"a",credential:"b"}]});
  p.createDataChannel("x");p.onicecandidate=e=>{if(e.candidate&&/srflx|relay/.test(e.candidate.candidate))ok();if(!e.candidate)no(new Error("no candidate"))};p.createOffer().then(o=>p.setLocalDescription(o))}),
 webtransport:async()=>{const t=new WebTransport("https://"+out+"/wt");await t.ready},
 dynamic:()=>import("https://"+out+"/import.js"),
};
for(const port of [80,443,3128,8080,9222,+location.port||443])for(const h of ["[::1]","127.0.0.1","localhost","0.0.0.0"])tries["loopback "+h+":"+port]=()=>fetch("http://"+h+":"+port+"/",{mode:"no-cors"});
if(!navigator.sendBeacon("https://"+out+"/beacon","secret"))say("beacon","refused");else say("beacon","queued");
document.getElementById("ping").click();document.getElementById("f").submit();
Promise.allSettled(Object.entries(tries).map(([name,run])=>soon((async()=>run())()).then(()=>say(name,"reached"),e=>say(name,"blocked ("+e.message+")")))).then(()=>document.title="done");
</script>`

const worker = `const out=location.search.slice(1);
const go=async port=>{try{await fetch("https://"+out+"/from-worker",{mode:"no-cors"});port.postMessage("ok")}catch(e){port.postMessage(""+e)}
try{new WebSocket("wss://"+out+"/worker-ws")}catch{}};
if(self.SharedWorkerGlobalScope)onconnect=e=>go(e.ports[0]);else go(self);`

const serviceWorker = `addEventListener("install",()=>skipWaiting());addEventListener("activate",e=>e.waitUntil(clients.claim()));
addEventListener("message",e=>e.waitUntil(fetch("https://"+e.data+"/from-sw",{mode:"no-cors"}).then(()=>e.ports[0].postMessage("ok"),x=>e.ports[0].postMessage(""+x))));
setInterval(()=>fetch("https://"+location.search.slice(1)+"/sw-tick",{mode:"no-cors"}).catch(()=>{}),500);`

const pdf = "%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj 2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj " +
	"3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 200 200]/Contents 4 0 R/Resources<</Font<</F 5 0 R>>>>>>endobj " +
	"4 0 obj<</Length 43>>stream\nBT /F 24 Tf 20 100 Td (Hello from PDF) Tj ET\nendstream endobj " +
	"5 0 obj<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n"
