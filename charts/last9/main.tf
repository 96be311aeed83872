# Dashboards and alerts of rollouts-exporter in Last9. dashboards.tf.json and alerts.tf.json are generated from the
# sources of the Grafana dashboards and of the Prometheus rules.
#
#   export LAST9_ORG=<your-organization> LAST9_API_BASE_URL=https://app.last9.io
#   export LAST9_REFRESH_TOKEN=<write-scoped refresh token>
#   export LAST9_DELETE_REFRESH_TOKEN=<refresh token with delete scope, for terraform destroy>
#   terraform init && terraform apply -var region=<region of your cluster>
terraform {
  required_providers {
    last9 = {
      source  = "last9/last9"
      version = ">= 0.4.0" # the first with last9_dashboard
    }
  }
}

provider "last9" {} # from the environment

variable "region" {
  type        = string
  description = "Region of the cluster in Last9, such as ap-south-1; its store draws the dashboards."
}

variable "data_source_id" {
  type        = string
  default     = null
  description = "Id of the cluster in Last9 that the alerts query; null for the default cluster."
}

variable "notification_channels" {
  type        = list(string)
  default     = []
  description = "Ids or names of the notification channels of the alerts; empty: the alerts notify nobody."
}
