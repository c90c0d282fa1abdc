package llm

import (
	"cmp"
	"fmt"
	"net/url"
	"strings"

	"github.com/sashabaranov/go-openai"
)

// azureVersion is the version of Azure's interface where none is named: the
// last that Azure calls stable for the addresses that need one.
const azureVersion = "2024-10-21"

// clientConfig returns how a provider is addressed: as OpenAI is, or as Azure
// is, with its own header for the key and the version of the interface in the
// query. Azure's addresses have one of three forms, and an interface of another
// host is taken for one of Azure when its version is named:
//
//	https://NAME.openai.azure.com[/openai]                         a deployment is called as its model
//	https://NAME.openai.azure.com/openai/deployments/DEPLOYMENT    whatever the model is called
//	https://NAME.openai.azure.com/openai/v1                        as OpenAI
//
// The address of one operation, as Azure's portal shows it, is one of these
// with more at its end.
func clientConfig(cfg OpenAIConfig) (openai.ClientConfig, *url.URL, error) {
	base, err := url.Parse(cmp.Or(cfg.BaseURL, defaultBaseURL))
	if err != nil || base.Host == "" || (base.Scheme != "http" && base.Scheme != "https") {
		return openai.ClientConfig{}, nil, fmt.Errorf("provider's base URL %q: want http(s)://host[:port]/v1", redactURL(cfg.BaseURL))
	}
	query := base.Query()
	version := cmp.Or(cfg.APIVersion, query.Get("api-version"))
	query.Del("api-version")
	if len(query) > 0 || base.Fragment != "" {
		return openai.ClientConfig{}, nil, fmt.Errorf("provider's base URL at %s: want http(s)://host[:port]/v1, without ? and #", base.Host)
	}
	base.RawQuery, base.ForceQuery = "", false
	path := strings.TrimRight(base.Path, "/")
	for _, operation := range []string{"/embeddings", "/chat/completions"} {
		path = strings.TrimSuffix(path, operation)
	}
	base.Path, base.RawPath = path, ""

	if version == "" && !isAzure(base) {
		client := openai.DefaultConfig(cfg.APIKey)
		client.BaseURL = base.String()
		return client, base, nil
	}
	client := openai.DefaultAzureConfig(cfg.APIKey, "")
	client.AzureModelMapperFunc = url.PathEscape
	switch {
	case strings.HasSuffix(path, "/v1"):
		client.APIVersion = version
		client.APIType = openai.APITypeCloudflareAzure // Azure's header, and the address as it is
	case strings.Contains(path, "/deployments/"):
		client.APIVersion = cmp.Or(version, azureVersion)
		client.APIType = openai.APITypeCloudflareAzure
	default:
		base.Path = strings.TrimSuffix(path, "/openai")
		client.APIVersion = cmp.Or(version, azureVersion)
	}
	client.BaseURL = base.String()
	return client, base, nil
}

// isAzure reports whether an address is one of Azure by its form.
func isAzure(base *url.URL) bool {
	host := strings.ToLower(base.Hostname())
	for _, domain := range []string{".azure.com", ".azure.us", ".azure.cn", ".azure-api.net"} {
		if strings.HasSuffix(host, domain) {
			return true
		}
	}
	return strings.Contains(base.Path, "/openai/deployments/")
}

// redactURL hides what a mistyped URL may hold of a password.
func redactURL(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return "(not a URL)"
	}
	u.RawQuery, u.Fragment = "", ""
	return u.Redacted()
}
